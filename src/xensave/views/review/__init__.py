"""What a review found, as text, JSON, SARIF, workflow commands or a mail."""

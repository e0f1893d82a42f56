"""What only the text of C says: comments, registrations, places."""

"""What a release or a rule says of an image: verdicts, a matrix, a plan, findings."""

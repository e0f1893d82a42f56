"""Rules: one subject a file, plain functions yielding Findings, one explicit table."""

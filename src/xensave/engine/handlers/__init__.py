"""What each record's handler requires, one subject a file; `table` lists them all."""

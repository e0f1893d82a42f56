"""Text on a terminal: colours, escapes, tables, wrapped lines, progress."""

"""Commands for the shell that xensave runs in."""

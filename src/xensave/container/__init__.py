"""One module a wrapper: xl, libxl, libxc, the HVM context; probes in one explicit tuple."""

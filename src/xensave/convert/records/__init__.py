"""Records of the HVM context: moved, fixed up, dropped, repaired."""

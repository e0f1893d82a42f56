"""The tests: a folder a room, so that file names need not be unique."""

"""A saved guest's memory as it lies: the map of its frames, and the tables of its vCPUs."""

"""A plan from one release to another, losses stated, and its application to a stream."""

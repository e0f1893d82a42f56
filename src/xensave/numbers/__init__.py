"""The number space of save records: who claims what, where claims clash, what numbers cost."""

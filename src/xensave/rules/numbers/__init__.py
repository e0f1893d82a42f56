"""Rules on the number space and the ABI of save records: what a careful reviewer says."""

"""Rules on the numbered ABIs beside the save records: one owner, one meaning, for ever."""

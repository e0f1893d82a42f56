"""Review a change to the number space: mailed patches, diffs and revisions to objections."""

"""Compressed inputs and outputs: the codecs, the source that decompresses, the writer."""

"""Builders of streams, and Hypothesis strategies over them: for tests, here and elsewhere.

`streams` makes valid bytes of every wrapper, `edits` changes fields of an image by name or through
JSON, `sparse` makes images of any size that take no disk, `mutate` damages bytes at random, and
`strategies` (it needs the extra `testing`) hands all of it to Hypothesis.
"""

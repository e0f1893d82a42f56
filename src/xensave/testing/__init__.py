"""Builders of streams, and Hypothesis strategies over them: for tests, here and elsewhere.

`streams` makes valid bytes of every wrapper, `sparse` images of any size that take no disk,
`mutate` damages bytes at random, and `strategies` (it needs the extra `testing`) hands all of
it to Hypothesis.
"""

"""Bytes and a layout to typed values, and the exact inverse; unknown bytes are kept.

`xensave.records.codec` decodes and encodes, `xensave.records.values` says what a value is,
`xensave.records.columns` decodes many records of one shape at once.
"""

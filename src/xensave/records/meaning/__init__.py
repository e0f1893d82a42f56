"""What values mean: names of bits, registers, types and components, as tables and functions.

`xensave.records.meaning.explain` puts them together for a whole record.
"""

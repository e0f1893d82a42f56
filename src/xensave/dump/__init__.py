"""Dumps: a saved guest's memory and registers in the files that other tools open."""

from xensave.dump.extract import FORMATS, DumpFormat, Options, extract

__all__ = ["FORMATS", "DumpFormat", "Options", "extract"]

"""`xensave volatility-path`: where volatility3 finds the layer for save images."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import xensave

DESCRIPTION = (
    'Print the folder of the plug-in for volatility3: vol -p "$(xensave volatility-path)" -f IMAGE'
    " ... opens save images. Exit 0: printed; 2: usage."
)

FOLDER = Path(xensave.__file__).parent / "volatility"


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments: none."""


def run(_args: argparse.Namespace) -> int:
    """Prints the folder."""
    sys.stdout.write(f"{FOLDER}\n")
    return 0

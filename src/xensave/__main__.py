"""`python -m xensave` is the command `xensave`."""

from __future__ import annotations

from xensave.cli import main

raise SystemExit(main())

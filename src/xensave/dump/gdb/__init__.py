"""gdb's remote protocol over a saved guest: registers and virtual memory, read only."""

from xensave.dump.gdb.listen import listen_tcp, listen_unix
from xensave.dump.gdb.serve import serve
from xensave.dump.gdb.session import Session

__all__ = ["Session", "listen_tcp", "listen_unix", "serve"]

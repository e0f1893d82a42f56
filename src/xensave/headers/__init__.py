"""C headers, hypervisor binaries and mailed patches to layouts and numbers."""

"""Rules of libxc records that have much inside: pages, PV vCPUs, static data."""

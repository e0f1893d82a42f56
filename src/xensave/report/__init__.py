"""Pages that a person can mail: a saved guest, a fleet of them, or the releases of Xen.

Each is one HTML file without scripts that asks nothing of any network; see `render`.
"""

"""`xensave convert` of bytes in a test's folder."""

from xensave.cli import main


def converted(folder, data, *words, config=None):
    """Convert an image; return the exit code, and what was written, None for nothing."""
    (folder / "in").write_bytes(data)
    out = folder / "out"
    out.unlink(missing_ok=True)
    if config is not None:
        (folder / "config").write_bytes(config)
        words = (*words, "--config", str(folder / "config"))
    code = main(["convert", str(folder / "in"), str(out), *words])
    return code, out.read_bytes() if out.exists() else None

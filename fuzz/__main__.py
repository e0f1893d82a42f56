"""`python -m fuzz --seconds N`: coverage-guided fuzzing of every target, one after another.

The corpus of each target grows in .fuzz/TARGET; the seeds of its kind are made anew. Exit 1 if
any crashed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from fuzz.kinds import write_seeds
from fuzz.targets import TARGETS

MEMORY_MIB = 512
SLOWEST_SECONDS = 2


def main() -> int:
    """Fuzz the targets asked for, all by default."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="of all targets together")
    parser.add_argument("--folder", type=Path, default=Path(".fuzz"))
    parser.add_argument("target", nargs="*", default=list(TARGETS), help=", ".join(TARGETS))
    args = parser.parse_args()
    for kind in {TARGETS[name].kind for name in args.target}:
        write_seeds(args.folder / "seeds" / kind, kind)
    share = max(1, args.seconds // len(args.target))
    failed = [name for name in args.target if not _clean(name, args.folder, share)]
    print(f"crashed: {', '.join(failed)}" if failed else f"clean: {', '.join(args.target)}")
    return 1 if failed else 0


def _clean(name: str, folder: Path, seconds: int) -> bool:
    """Fuzz one target in a process of its own; libFuzzer ends it at the first crash."""
    corpus = folder / name
    corpus.mkdir(parents=True, exist_ok=True)
    print(f"{name}: {seconds} s", flush=True)
    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={folder}/{name}-",
        f"-rss_limit_mb={MEMORY_MIB}",
        f"-timeout={SLOWEST_SECONDS}",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    command = [sys.executable, "-m", "fuzz.guided", name, str(corpus)]
    command.append(str(folder / "seeds" / TARGETS[name].kind))
    return subprocess.run([*command, *options], check=False).returncode == 0


if __name__ == "__main__":
    raise SystemExit(main())

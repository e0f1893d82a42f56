"""Debian packages, fetched and unpacked below a folder without touching the system.

apt keeps its state in that folder and believes that nothing is installed, so a package's
closure is whole and the same on every machine. Maintainer scripts are never run.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.xen.rig import CannotAskError

URI_LINE = re.compile(r"^'[^']+' (\S+) ", re.MULTILINE)
# A package may ship files below these; in today's Debian they are links into /usr.
MERGED = ("bin", "sbin", "lib", "lib64")


class Apt:
    """apt over the machine's own sources, with state, lists and archives below `folder`."""

    def __init__(self, folder: Path) -> None:
        missing = [tool for tool in ("apt-get", "dpkg-deb", "tar") if not shutil.which(tool)]
        if missing:
            raise CannotAskError(f"no {', '.join(missing)}: the rig is made of Debian's packages")
        folder = folder.absolute()
        self.archives = folder / "cache" / "archives"
        (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        (self.archives / "partial").mkdir(parents=True, exist_ok=True)
        self._empty = folder / "empty"
        (self._empty / "partial").mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        settings = {
            "Dir::State": folder,
            "Dir::State::lists": folder / "lists",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "APT::Architecture": "amd64",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",
            "Acquire::Retries": "3",
        }
        self._options = [
            word for key, value in settings.items() for word in ("-o", f"{key}={value}")
        ]

    def _run(
        self, tool: str, *words: str, at: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [tool, *self._options, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=at)

    def update(self) -> None:
        """Fetch the package lists; a source that does not answer matters only if it is needed."""
        self._run("apt-get", "update", "-q")

    def require(self, name: str) -> None:
        """Raise where no source has this package."""
        if self._run("apt-cache", "show", name).returncode:
            raise CannotAskError(
                f"apt knows no package {name}: Debian 12 (bookworm) has it; are its sources"
                " configured and reachable?"
            )

    def depends(self, name: str, prefix: str) -> str:
        """Return the dependency of `name` that begins with `prefix`, as of a metapackage."""
        said = self._run("apt-cache", "depends", "--important", name).stdout
        found = re.search(rf"Depends: ({re.escape(prefix)}\S*)", said)
        if not found:
            raise CannotAskError(f"{name} depends on no {prefix}*")
        return found[1]

    def closure(self, *names: str) -> list[Path]:
        """Fetch `names` and all that they depend on, and return the archives."""
        return self._fetch("install", "--yes", "--download-only", *names)

    def alone(self, name: str) -> Path:
        """Fetch one package without what it depends on, and return the archive."""
        (archive,) = self._fetch("download", name)
        return archive

    def _fetch(self, *words: str) -> list[Path]:
        # apt lists only what its archive folder lacks: show it one that is always empty.
        elsewhere = ("-o", f"Dir::Cache::archives={self._empty}", "--print-uris")
        listed = self._run("apt-get", *elsewhere, *words, at=self._empty)
        fetched = self._run("apt-get", "-q", *words, at=self.archives)
        for done in (listed, fetched):
            if done.returncode:
                complaints = [x for x in done.stderr.splitlines() if x.startswith("E:")]
                raise CannotAskError(f"apt-get {' '.join(words)}: {' '.join(complaints)}")
        return [self.archives / name for name in URI_LINE.findall(listed.stdout)]


def unpack(archives: Iterable[Path], into: Path, *patterns: str) -> None:
    """Unpack the archives into one tree, as on a system where /bin is usr/bin.

    With `patterns`, only the members that match one of them.
    """
    for name in MERGED:
        (into / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (into / name).is_symlink():
            (into / name).symlink_to(f"usr/{name}")
    extract = ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", str(into)]
    if patterns:
        extract += ["--wildcards", *patterns]
    for archive in archives:
        members = subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE
        )
        with members:
            subprocess.run(extract, stdin=members.stdout, check=True)
        if members.returncode:
            raise OSError(f"{archive}: dpkg-deb gave up ({members.returncode})")

"""Where the embedded store keeps its things, below ``$SMARTSHELF_HOME``."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from smartshelf.errors import SettingError
from smartshelf.settings import CHECKOUT, Settings

CONF = CHECKOUT / "conf"

#: The kernel's limit for the path of a Unix socket is 108 bytes with its final zero; supervisord
#: first binds to the path plus a dot and its process id.
SOCKET_PATH_LIMIT = 90

#: Java separates class paths by colons, Kafka lists by commas, supervisord expands percent signs.
UNUSABLE = (":", ",", ";", "%", '"', "\n")


@dataclass(frozen=True)
class Layout:
    """The folders of one embedded store."""

    home: Path
    jars: Path

    @classmethod
    def of(cls, settings: Settings) -> Layout:
        """The layout for these settings, with absolute paths."""
        return cls(settings.home.absolute(), settings.jars.absolute())

    @property
    def run(self) -> Path:
        """Rendered configurations, sockets and ready files; written anew by every ``up``."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """One log per service."""
        return self.home / "logs"

    @property
    def state(self) -> Path:
        """What the servers must not lose; deleted by ``reset``."""
        return self.home / "state"

    @property
    def packages(self) -> Path:
        """Unpacked Debian packages, wheels and the Java runtime; kept by ``reset``."""
        return self.home / "packages"

    @property
    def identity(self) -> str:
        """A short name for this store that differs between the checkouts of a machine."""
        return hashlib.sha256(os.fsencode(self.home)).hexdigest()[:10]

    @property
    def socket(self) -> Path:
        """Supervisord's control socket: in ``run`` unless that path is too long for a socket."""
        usual = self.run / "supervisor.sock"
        if len(os.fsencode(usual)) <= SOCKET_PATH_LIMIT:
            return usual
        return Path(tempfile.gettempdir()) / f"smartshelf-{os.getuid()}-{self.identity}" / "supervisor.sock"

    def log(self, service: str) -> Path:
        """The log of one service."""
        return self.logs / f"{service}.log"

    def create(self) -> None:
        """Create the folders; the socket's own for this user alone. SettingError for a path that cannot be."""
        for name, folder in (("SMARTSHELF_HOME", self.home), ("SMARTSHELF_JARS", self.jars)):
            if bad := [char for char in UNUSABLE if char in str(folder)]:
                raise SettingError(
                    f"The path of {name} has {' '.join(bad)}, which Java or the supervisor reads as something else",
                    value=str(folder),
                    remedy="Choose a folder without it; spaces are fine.",
                )
        for folder in (self.home, self.run, self.logs, self.state, self.packages):
            folder.mkdir(parents=True, exist_ok=True)
        if self.socket.parent != self.run:
            make_own(self.socket.parent)


def make_own(folder: Path) -> None:
    """A folder for this user alone in a place that all users share; SettingError when somebody else made it first."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise SettingError(
            "The folder for this user's sockets and ports belongs to somebody else",
            value=str(folder),
            remedy="Set TMPDIR to a folder of your own.",
        )
    folder.chmod(0o700)


def open_to_everyone(path: Path) -> bool:
    """Whether any user of the machine may pass through every folder above ``path``."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.absolute().parents if folder.exists())

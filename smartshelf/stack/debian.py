"""Debian packages unpacked into a folder: works as an ordinary user and changes nothing on the machine.

apt gets folders of its own for its lists and downloads and only the machine's list of installed
packages, so it fetches exactly the libraries that are missing here.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from smartshelf.errors import SmartShelfError
from smartshelf.stack import progress
from smartshelf.stack.layout import Layout


class NoPackages(SmartShelfError):
    """The packages could not be had from here: no apt, no network, or no such package."""


def unpack(layout: Layout, name: str, packages: Sequence[str]) -> Path:
    """Fetch ``packages`` with what they need and unpack all into one folder; returns it. Once only.

    Raises NoPackages naming the reason.
    """
    root = layout.packages / name
    if root.is_dir():
        return root
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise NoPackages("This machine has no apt-get", remedy=f"Install {', '.join(packages)} by hand.")
    progress.say(f"fetching {', '.join(packages)} as unpacked Debian packages")
    draft = layout.packages / f"{name}.new"
    shutil.rmtree(draft, ignore_errors=True)
    for archive in _download(layout.packages / "apt", packages):
        _run(["dpkg-deb", "--extract", str(archive), str(draft)], packages)
    shutil.rmtree(layout.packages / "apt")
    draft.rename(root)
    return root


def install(packages: Sequence[str]) -> None:
    """Install ``packages`` on this machine: for root only. Raises NoPackages."""
    progress.say(f"installing {', '.join(packages)} by apt")
    _run(["apt-get", "update", "-qq"], packages, tolerant=True)
    _run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], packages)


def wrapper(root: Path, name: str, program: str, **environment: object) -> Path:
    """A script that runs ``program`` (relative to ``root``) with the unpacked libraries; returns its path."""
    script = root / "run" / name
    script.parent.mkdir(exist_ok=True)
    libraries = os.pathsep.join(library_folders(root))
    lines = [
        "#!/bin/sh",
        f"export LD_LIBRARY_PATH={shlex.quote(libraries)}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}",
        *(f"export {variable}={shlex.quote(str(value))}" for variable, value in environment.items()),
        f'exec {shlex.quote(str(root / program))} "$@"',
    ]
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)
    return script


def library_folders(root: Path) -> list[str]:
    """The folders below ``root`` that the loader has to search."""
    found = {path.parent for base in ("lib", "usr/lib") for path in (root / base).rglob("*.so*")}
    # Plug-in folders are loaded by path; searching them too is harmless but slow, so stop at depth two.
    near = [path for path in found if len(path.relative_to(root).parts) <= 4]
    return [str(path) for path in sorted(near)]


def _download(apt: Path, packages: Sequence[str]) -> list[Path]:
    """The archives of ``packages`` and of everything they need that is not installed here."""
    cache = apt / "cache"
    for folder in (apt / "state" / "lists" / "partial", cache / "archives" / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    for old in (cache / "archives").glob("*.deb"):
        old.unlink()
    options = [
        "-o", f"Dir::State={apt}/state",
        "-o", f"Dir::State::Lists={apt}/state/lists",
        "-o", "Dir::State::status=/var/lib/dpkg/status",
        "-o", f"Dir::Cache={cache}",
        "-o", "APT::Sandbox::User=",
        "-o", "Debug::NoLocking=1",
        "-o", "Acquire::Retries=3",
    ]  # fmt: skip
    # A list of some other vendor that does not answer must not stop us: the next step tells.
    _run(["apt-get", *options, "-qq", "update"], packages, tolerant=True)
    options += ["-y", "-qq", "--no-install-recommends", "--download-only"]
    _run(["apt-get", *options, "install", *packages], packages)
    return sorted((cache / "archives").glob("*.deb"))


def _run(command: list[str], packages: Sequence[str], *, tolerant: bool = False) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
    except (OSError, subprocess.TimeoutExpired) as failed:
        raise NoPackages(f"Could not fetch {', '.join(packages)}", value=str(failed)) from None
    if done.returncode and not tolerant:
        raise NoPackages(
            f"Could not fetch {', '.join(packages)} as Debian packages",
            value=(done.stderr.strip().splitlines() or ["apt said nothing"])[-1],
            remedy="The first start needs the network; with it, `apt-get update` must work on this machine.",
        )

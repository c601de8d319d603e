"""Whose word counts: that of the process that runs now."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from smartshelf import settings
from smartshelf.service import ready_file
from smartshelf.stack import launcher

NOT_YET = "has not said that it is ready"


def test_a_process_is_not_well_by_the_word_of_the_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTSHELF_HOME", str(tmp_path))
    config, mine = settings.load(), os.getpid()
    file = ready_file(config, "spark")
    assert launcher.problem_of(config, "spark", mine) == NOT_YET
    file.parent.mkdir(parents=True)
    file.touch()
    assert launcher.problem_of(config, "spark", mine) is None
    born = launcher._born(mine)
    os.utime(file, (born - 1, born - 1))
    monkeypatch.setattr("smartshelf.service.STALE_AFTER", time.time())
    assert launcher.problem_of(config, "spark", mine) == NOT_YET

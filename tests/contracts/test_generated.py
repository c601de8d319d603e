"""No rendered file may differ from the contracts it is rendered from."""

from __future__ import annotations

from pathlib import Path

from smartshelf.contracts.generate import CHECKOUT, CONNECTORS, DICTIONARY, SCHEMAS, main, rendered, stale, write


def test_no_rendered_file_is_stale() -> None:
    assert stale(CHECKOUT, rendered()) == [], "run `make contracts` and commit the result"


def test_the_check_says_the_same_on_the_command_line(capsys) -> None:
    assert main(["--check"]) == 0
    assert capsys.readouterr().err == ""


def test_every_stale_file_is_named(tmp_path: Path) -> None:
    files = rendered()
    assert len(stale(tmp_path, files)) == len(files)
    write(tmp_path, files)
    assert stale(tmp_path, files) == []
    (tmp_path / DICTIONARY).write_text("# edited by hand\n")
    (tmp_path / CONNECTORS / "config-source.json").unlink()
    (tmp_path / SCHEMAS / "old_topic.json").write_text("{}")
    assert stale(tmp_path, files) == [
        "connect/generated/config-source.json is missing",
        "smartshelf/contracts/README.md is out of date",
        "smartshelf/contracts/schemas/old_topic.json is left over",
    ]


def test_writing_repairs_just_what_is_stale(tmp_path: Path) -> None:
    files = rendered()
    write(tmp_path, files)
    (tmp_path / DICTIONARY).write_text("")
    (tmp_path / SCHEMAS / "old_topic.json").write_text("{}")
    assert write(tmp_path, files) == [SCHEMAS / "old_topic.json", DICTIONARY]
    assert write(tmp_path, files) == []

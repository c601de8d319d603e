from __future__ import annotations

import importlib
import os
import resource
import subprocess
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
import typer

from smartshelf import cli
from smartshelf.cli import Entry
from smartshelf.errors import BadInput


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    return int(ended.value.code or 0)


def test_help_imports_no_command_and_names_them():
    code = """
import sys
from smartshelf import cli
try:
    cli.main(["--help"])
finally:
    heavy = [m for m in ("redis", "pydantic", "pandas", "pyarrow", "confluent_kafka", "pyspark") if m in sys.modules]
    assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in ("up", "down", "clock"):
        assert f"│ {name} " in done.stdout


def test_help_costs_little():
    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", "from smartshelf.cli import main; main(['--help'])"], capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    # CPU seconds, not elapsed ones: the machine may be busy, the command is not.
    assert min(once() for _ in range(3)) < 0.5


def test_an_unknown_command_is_a_usage_error(capsys):
    assert run("no-such-thing") == 2
    assert "No such command 'no-such-thing'" in capsys.readouterr().err


@pytest.fixture
def plugged(monkeypatch):
    """A module of three kinds of commands, as other packages offer them."""
    app, single = typer.Typer(), typer.Typer()

    @app.command()
    def many(count: int = 1) -> None:
        typer.echo(f"many {count}")

    @app.command()
    def other() -> None:
        raise BadInput("The file is wrong", value="x.csv", problems=["row 3: no date", "row 5: negative"])

    @single.command()
    def alone(bug: bool = False) -> None:
        if bug:
            raise ZeroDivisionError
        raise typer.Exit(1)

    def plain(name: str) -> None:
        typer.echo(f"plain {name}")

    module = ModuleType("plugged")
    vars(module).update(app=app, single=single, plain=plain, __spec__=ModuleSpec("plugged", None))
    monkeypatch.setitem(sys.modules, "plugged", module)
    for name, where in (("many", "app"), ("group", "app"), ("alone", "single"), ("plain", "plain")):
        monkeypatch.setitem(cli.COMMANDS, name, Entry(f"plugged:{where}", "A test."))


@pytest.mark.usefixtures("plugged")
def test_a_command_a_group_a_single_command_and_a_function_plug_in_with_one_line(capsys):
    assert run("many", "--count", "3") == 0
    assert run("group", "many") == 0
    assert run("plain", "Ada") == 0
    assert run("alone") == 1
    assert capsys.readouterr().out.splitlines() == ["many 3", "many 1", "plain Ada"]


@pytest.mark.usefixtures("plugged")
def test_what_a_person_can_mend_is_told_without_a_stack_trace(capsys):
    assert run("group", "other") == 2
    said = capsys.readouterr().err
    assert said == "smartshelf: The file is wrong. Found: 'x.csv'.\n  - row 3: no date\n  - row 5: negative\n"


@pytest.mark.parametrize("what", ["{kind: count}", "5", "[]"])
def test_a_command_that_is_no_object_is_refused_before_anything_is_asked(what, capsys):
    assert run("command", what) == 2
    assert "The command is not a JSON object. Found: " in capsys.readouterr().err


@pytest.mark.usefixtures("plugged")
def test_a_bug_ends_with_2_and_shows_where(caplog):
    assert run("alone", "--bug") == 2
    assert "this is a bug" in caplog.text
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_loads_and_has_help_with_an_example(command):
    loaded = cli.load(command)
    leaves = getattr(loaded, "commands", {command: loaded})
    for name, leaf in leaves.items():
        assert leaf.help, f"{command} {name} says nothing in --help"
        assert "smartshelf" in f"{leaf.epilog or ''}{leaf.help}", f"{command} {name} has no example in --help"


def test_every_command_of_the_launcher_is_in_the_list():
    launcher = typer.main.get_command(importlib.import_module("smartshelf.stack.cli").app)
    assert launcher.commands.keys() <= cli.COMMANDS.keys()


def test_a_wrong_setting_is_one_sentence():
    done = subprocess.run(
        [sys.executable, "-c", "from smartshelf.cli import main; main(['clock', 'status'])"],
        env=os.environ | {"TIME_MULTIPLIER": "fast"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "smartshelf: The setting TIME_MULTIPLIER is wrong. Found: 'fast'. Allowed: must be a number > 0 or 'auto'.\n"
    )

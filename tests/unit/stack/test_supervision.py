"""The rendered supervisord.conf, read by supervisor's own parser."""

import pytest
from supervisor.options import ServerOptions

from smartshelf.stack import supervision


@pytest.fixture
def programs(layout, services):
    """What supervisor understands of the configuration, by service."""
    file = layout.run / "supervisord.conf"
    file.write_text(supervision.configuration(layout, services.values(), {"NOTE": "100% sure"}))
    options = ServerOptions()
    options.realize(["-c", str(file)])
    return {group.name: group.process_configs[0] for group in options.process_group_configs}


def test_supervisor_understands_every_service(programs, services):
    assert set(programs) == {*services, supervision.GUARD}


def test_nothing_starts_before_the_launcher_says_so(programs):
    assert {name for name, program in programs.items() if program.autostart} == {supervision.GUARD}


def test_what_dies_is_started_again_except_the_one_shot(programs):
    assert {name for name, program in programs.items() if not program.autorestart} == {"init"}


def test_paths_with_spaces_and_values_with_percent_signs_survive(programs, layout, services):
    assert str(programs["redis"].stdout_logfile) == str(layout.log("redis"))
    assert services["redis"].command[0].replace(" ", "") in programs["redis"].command.replace(" ", "").replace("'", "")
    assert programs["bridge"].environment["SMARTSHELF_HOME"] == str(layout.home)
    assert programs["bridge"].environment["NOTE"] == "100% sure"


def test_postgres_is_stopped_by_the_signal_that_does_not_wait_for_clients(programs):
    assert programs["postgres"].stopsignal.name == "SIGINT"

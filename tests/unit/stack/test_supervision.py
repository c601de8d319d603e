"""The rendered supervisord.conf, read by supervisor's own parser."""

from dataclasses import replace

import pytest
from supervisor.options import ServerOptions

from smartshelf.errors import SettingError
from smartshelf.stack import supervision

#: As a password may be.
NOTE = "100% 'sure', c:\\new;#1!"


@pytest.fixture
def programs(layout, services):
    """What supervisor understands of the configuration, by service."""
    file = layout.run / "supervisord.conf"
    noted = [replace(service, environment={"NOTE": NOTE}) for service in services.values()]
    file.write_text(supervision.configuration(layout, noted))
    options = ServerOptions()
    options.realize(["-c", str(file)])
    return {group.name: group.process_configs[0] for group in options.process_group_configs}


def test_supervisor_understands_every_service(programs, services):
    assert set(programs) == {*services, supervision.GUARD}


def test_nothing_starts_before_the_launcher_says_so(programs):
    assert {name for name, program in programs.items() if program.autostart} == {supervision.GUARD}


def test_what_dies_is_started_again_except_the_one_shot(programs):
    assert {name for name, program in programs.items() if not program.autorestart} == {"init"}


def test_paths_with_spaces_and_values_with_any_character_survive(programs, layout, services):
    assert str(programs["redis"].stdout_logfile) == str(layout.log("redis"))
    assert services["redis"].command[0].replace(" ", "") in programs["redis"].command.replace(" ", "").replace("'", "")
    assert programs["bridge"].environment["SMARTSHELF_HOME"] == str(layout.home)
    assert programs["bridge"].environment["NOTE"] == NOTE


def test_postgres_is_stopped_by_the_signal_that_does_not_wait_for_clients(programs):
    assert programs["postgres"].stopsignal.name == "SIGINT"


@pytest.mark.parametrize("password", ['a"b', "ends with '", "a ;b", "a #b"])
def test_a_password_that_supervisor_would_cut_is_refused_without_being_shown(layout, services, password):
    connect = replace(services["connect"], environment={"SMARTSHELF_POSTGRES_SINK_PASSWORD": password})
    with pytest.raises(SettingError, match="SMARTSHELF_POSTGRES_SINK_PASSWORD") as refused:
        supervision.configuration(layout, [connect])
    assert password not in str(refused.value)

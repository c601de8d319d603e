"""The pure parts of the launcher, and what a person reads."""

import fcntl
import re

import pytest

from smartshelf.errors import SmartShelfError
from smartshelf.settings import CHECKOUT
from smartshelf.stack import launcher

VALUES = {
    "conf/redis/redis.conf": {"bind", "port", "directory"},
    "conf/kafka/server.properties": {"bind", "host", "port", "controller_port", "directory"},
    "conf/postgres/postgresql.conf": {"bind", "port"},
    "connect/worker.properties": {"bind", "host", "port", "kafka", "offsets", "plugins"},
}


@pytest.mark.parametrize("name", VALUES)
def test_a_server_configuration_asks_for_exactly_the_values_it_gets(name):
    assert set(re.findall(r"\$(\w+)", (CHECKOUT / name).read_text())) == VALUES[name]


def test_a_name_without_value_is_an_error_and_not_an_empty_setting():
    with pytest.raises(KeyError):
        launcher.render("port=$port")


def test_rendering_fills_in_values():
    assert launcher.render("port=$port", port=7) == "port=7"


@pytest.mark.parametrize(
    ("value", "written"),
    [("/a b/c", "/a b/c"), ("/Käse", "/K\\u00e4se"), ("/🛒", "/\\ud83d\\uded2"), ("a\\b", "a\\\\b")],
)
def test_java_properties_are_ascii(value, written):
    assert launcher.java_property(value) == written


def test_the_tail_of_a_log_is_its_last_lines(tmp_path):
    log = tmp_path / "x.log"
    assert launcher.tail(log, 3) == "(no log yet)"
    log.write_text("".join(f"line {number}\n" for number in range(10_000)))
    assert launcher.tail(log, 2) == "line 9998\nline 9999"


def test_two_commands_do_not_change_one_store_at_once(layout):
    with (layout.home / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SmartShelfError, match="Another command"), launcher._alone(layout):
            pass

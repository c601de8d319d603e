"""store.env: addresses, passwords, and the settings that a store keeps."""

import stat

import pytest

from smartshelf import settings
from smartshelf.errors import SettingError
from smartshelf.stack import environment
from smartshelf.stack.layout import Layout
from smartshelf.stack.ports import USUAL


@pytest.fixture
def layout(tmp_path):
    made = Layout(tmp_path / "a home", tmp_path / "jars")
    made.create()
    return made


def test_what_is_written_is_what_settings_read(layout):
    environment.write(layout, environment.compose({**USUAL, "redis": 16379}, 3, {"STORES": "S01,S02"}, {}))
    read = settings.load({"SMARTSHELF_HOME": str(layout.home)})
    assert read.redis_url == "redis://127.0.0.1:16379/0"
    assert read.stores == ("S01", "S02")
    assert read.epoch == 3
    assert len(read.postgres_owner_password.get_secret_value()) == 32


def test_only_the_owner_can_read_the_passwords(layout):
    environment.write(layout, environment.compose(USUAL, 1, {}, {}))
    assert stat.S_IMODE(environment.path(layout).stat().st_mode) == 0o600


def test_passwords_are_made_once_and_differ_by_role():
    first = environment.compose(USUAL, 1, {}, {})
    again = environment.compose(USUAL, 1, {}, first)
    passwords = [value for name, value in first.items() if name.endswith("_PASSWORD")]
    assert len(set(passwords)) == len(environment.ROLES)
    assert again == first


def test_a_store_keeps_its_settings_until_they_are_given_anew():
    first = environment.compose(USUAL, 1, {"STORES": "S01,S02", "SEED": "7"}, {})
    second = environment.compose(USUAL, 1, {"SEED": "8"}, first)
    assert (second["STORES"], second["SEED"]) == ("S01,S02", "8")


def test_addresses_of_an_earlier_start_do_not_survive():
    first = environment.compose({**USUAL, "kafka": 19092}, 1, {}, {})
    assert environment.compose(USUAL, 1, {}, first)["SMARTSHELF_KAFKA"] == "127.0.0.1:9092"


@pytest.mark.parametrize(
    ("name", "value", "server", "port"),
    [
        ("SMARTSHELF_REDIS_URL", "redis://127.0.0.1:7000/0", "redis", 7000),
        ("SMARTSHELF_KAFKA", "localhost:9999", "kafka", 9999),
        ("SMARTSHELF_POSTGRES_PORT", "5555", "postgres", 5555),
        ("SMARTSHELF_DASHBOARD_URL", "http://127.0.0.1:8600", "dashboard", 8600),
    ],
)
def test_an_address_setting_is_a_wish_for_its_port(name, value, server, port):
    assert environment.wished_ports({name: value}) == {server: port}


@pytest.mark.parametrize("value", ["redis://db.example:6379/0", "redis://127.0.0.1/0", "redis://127.0.0.1:x/0"])
def test_a_server_elsewhere_or_without_port_cannot_be_started_here(value):
    with pytest.raises(SettingError, match="SMARTSHELF_REDIS_URL"):
        environment.wished_ports({"SMARTSHELF_REDIS_URL": value})


def test_every_reset_begins_another_epoch(layout):
    assert environment.epoch(layout) == 1
    assert environment.raise_epoch(layout) == 2
    assert environment.epoch(layout) == 2

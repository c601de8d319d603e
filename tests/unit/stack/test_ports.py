"""Ports: usual, remembered, free, asked for."""

import socket

import pytest

from smartshelf.errors import SettingError
from smartshelf.stack import ports


def test_the_usual_ports_are_taken_when_they_are_free():
    assert ports.choose({}, {}, free=lambda port: True) == ports.USUAL


def test_a_taken_port_is_replaced_by_a_free_one_and_the_others_stay():
    taken = {6379, 16379}
    chosen = ports.choose({}, {}, free=lambda port: port not in taken)
    assert chosen["redis"] == 16389
    assert {name: port for name, port in chosen.items() if name != "redis"} == {
        name: port for name, port in ports.USUAL.items() if name != "redis"
    }


def test_the_ports_of_last_time_are_used_again():
    assert ports.choose({}, {"kafka": 19092}, free=lambda port: True)["kafka"] == 19092


def test_a_remembered_port_that_was_taken_meanwhile_is_given_up():
    assert ports.choose({}, {"kafka": 19092}, free=lambda port: port != 19092)["kafka"] == 9092


def test_no_two_servers_get_the_same_port():
    chosen = ports.choose({"redis": 9092}, {"connect": 5432}, free=lambda port: True)
    assert len(set(chosen.values())) == len(chosen)


def test_a_port_that_a_setting_names_and_another_program_has_is_refused_by_name():
    with pytest.raises(SettingError, match=r"port set for redis is taken.*7000"):
        ports.choose({"redis": 7000}, {}, free=lambda port: port != 7000)


def test_a_listening_server_makes_its_port_taken():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert not ports.is_free(server.getsockname()[1])


def test_ports_are_remembered_and_a_damaged_memory_is_no_memory(tmp_path):
    file = tmp_path / "ports.json"
    assert ports.recall(file) == {}
    ports.remember(file, ports.USUAL)
    assert ports.recall(file) == ports.USUAL
    file.write_text("{")
    assert ports.recall(file) == {}


def test_ports_that_another_living_store_has_claimed_are_known_until_it_has_gone(tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    with ports.claims(tmp_path):
        ports.claim(tmp_path, mine, {"redis": 6379})
        ports.claim(tmp_path, other, {"redis": 16379, "kafka": 19092})
        assert ports.claimed(tmp_path, mine, lives=lambda store: True) == {16379, 19092}
        assert ports.claimed(tmp_path, mine, lives=lambda store: store != other) == set()
        assert ports.claimed(tmp_path, mine, lives=lambda store: True) == set()


def test_a_claim_that_was_cut_off_keeps_no_other_store_from_starting(tmp_path):
    (tmp_path / "cut.json").write_text('{"store": "/a')
    assert ports.claimed(tmp_path, tmp_path / "mine", lives=lambda store: True) == set()
    assert not (tmp_path / "cut.json").exists()

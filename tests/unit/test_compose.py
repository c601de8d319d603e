"""``docker compose up`` runs the store that ``make up`` runs: same services, order and settings, within bounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from smartshelf import settings
from smartshelf.service import STALE_AFTER
from smartshelf.settings import CHECKOUT, Settings
from smartshelf.stack import environment, graph
from smartshelf.stack.java import Java
from smartshelf.stack.layout import Layout
from smartshelf.stack.ports import USUAL
from smartshelf.stack.postgres import Postgres
from smartshelf.stack.provision import Provision
from spark_apps import jobs

FILE = CHECKOUT / "docker-compose.yml"
TEXT = FILE.read_text()
ALL: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
#: What runs without a profile.
SERVICES = {name: service for name, service in ALL.items() if "profiles" not in service}
ONE_SHOTS = {"init"}
SERVERS = {"redis", "kafka", "postgres", "connect"}
PYTHON = SERVICES.keys() - SERVERS
PROFILES = sorted((CHECKOUT / "conf" / "profiles").glob("*.env"))


@pytest.fixture
def embedded(tmp_path: Path) -> Mapping[str, graph.Service]:
    """The services as ``make up`` runs them."""
    layout, program = Layout(tmp_path, tmp_path / "jars"), tmp_path / "program"
    provision = Provision(Java(tmp_path, program, 21, "test"), program, Postgres(tmp_path, tmp_path / "pg", None))
    return graph.services(layout, provision, USUAL, environment.compose(USUAL, 1, {}, {}), tmp_path)


def behind(name: str, direct: Mapping[str, set[str]]) -> set[str]:
    """Everything that has to be well before the service starts, directly or not."""
    return direct[name].union(*(behind(other, direct) for other in direct[name]))


def megabytes(limit: str) -> int:
    return int(limit.removesuffix("m"))


def test_the_services_are_those_of_make_up() -> None:
    assert set(SERVICES) == set(graph.NAMES)


def test_the_profile_scale_adds_the_spark_processes_of_its_settings() -> None:
    scale = settings.load({"SMARTSHELF_PROFILE": "scale"})
    names = graph.names(len(scale.spark_parts))
    assert {name for name, service in ALL.items() if service.get("profiles", ["scale"]) == ["scale"]} == set(names)
    for number, name in enumerate([name for name in names if graph.kind_of(name) == "spark"], 1):
        assert ALL[name]["command"][-2:] == ["--part", str(number)]
        assert jobs.part(scale.spark_parts, number)


def test_the_start_order_is_that_of_make_up(embedded: Mapping[str, graph.Service]) -> None:
    composed = {name: set(service.get("depends_on", ())) for name, service in SERVICES.items()}
    own = {name: set(service.after) for name, service in embedded.items()}
    assert {name: behind(name, composed) for name in composed} == {name: behind(name, own) for name in own}


def test_nothing_starts_on_a_dependency_that_is_only_there() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONE_SHOTS else "service_healthy"
            assert how["condition"] == wanted, f"{name} waits for {other}"


@pytest.mark.parametrize("name", sorted(PYTHON))
def test_python_services_run_the_module_of_make_up(name: str, embedded: Mapping[str, graph.Service]) -> None:
    command = [part for part in SERVICES[name]["command"] if part not in {"python", "-m"}]
    assert command[0] in embedded[name].command


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_memory_limit(name: str) -> None:
    assert megabytes(SERVICES[name]["mem_limit"]) > 0


def test_the_header_tells_the_sum_of_the_limits() -> None:
    told = re.search(r"add up to (\d+) MB", TEXT)
    assert told is not None
    assert int(told[1]) == sum(megabytes(service["mem_limit"]) for service in SERVICES.values())


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONE_SHOTS))
def test_every_lasting_service_is_checked_and_restarted(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_a_service_is_well_by_the_same_rule_as_under_make_up() -> None:
    (rule,) = re.findall(r"^x-ready:.*\n(?:  .*\n)+", TEXT, re.MULTILINE)
    assert f"'-{STALE_AFTER:.0f} seconds'" in rule
    assert "SMARTSHELF_HOME=/tmp/smartshelf" in (CHECKOUT / "conf" / "docker" / "Dockerfile").read_text()
    assert "find /tmp/smartshelf/run/*.ready" in rule


def test_services_own_the_folder_in_which_they_say_that_they_are_well() -> None:
    (user,) = set(re.findall(r"--uid (\d+)", (CHECKOUT / "conf" / "docker" / "Dockerfile").read_text()))
    # With a mode instead of an owner it works at the first start only: runc takes the mode of what it finds then.
    assert {mount for name in PYTHON for mount in SERVICES[name]["tmpfs"]} == {f"/tmp/smartshelf:uid={user}"}


def test_ports_are_published_on_loopback_only_and_are_the_usual_ones() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    found = [re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-(\d+)\}:(\d+)", port) for port in published]
    assert all(found), published
    assert sorted(int(match[1]) for match in found if match) == [5432, 8083, 8501]


@pytest.mark.parametrize("name", sorted(PYTHON))
def test_every_product_setting_reaches_the_services(name: str) -> None:
    places = ("SMARTSHELF_", "POSTGRES_")
    product = {field.alias for field in Settings.model_fields.values() if not str(field.alias).startswith(places)}
    assert product | {"SMARTSHELF_WORLD"} <= set(SERVICES[name]["environment"])


def test_every_role_has_a_password() -> None:
    given = settings.read_env_file(CHECKOUT / "conf" / "docker" / "passwords.env")
    assert given.keys() == {
        "POSTGRES_PASSWORD",
        *(f"SMARTSHELF_POSTGRES_{role}_PASSWORD" for role in environment.ROLES),
    }
    assert given["POSTGRES_PASSWORD"] == given["SMARTSHELF_POSTGRES_OWNER_PASSWORD"]


def test_only_services_that_talk_to_postgres_and_where_people_audit_know_its_passwords() -> None:
    given = {name for name, service in ALL.items() if service.get("env_file")}
    assert given == {"postgres", "init", "connect", "training-service", "dashboard", "spark", "spark-2", "spark-3"}


def test_no_image_runs_as_root() -> None:
    dockerfile = (CHECKOUT / "conf" / "docker" / "Dockerfile").read_text()
    for target in {str(service["build"]["target"]) for service in SERVICES.values() if "build" in service}:
        stage = re.split(r"^FROM ", dockerfile.partition(f" AS {target}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
        # The official images start as root, but for the broker's.
        own = "appuser" if target == "kafka" else "root"
        assert [own, *re.findall(r"^USER (\S+)", stage, re.MULTILINE)][-1] != "root", target


@pytest.mark.parametrize("name", ALL)
def test_no_service_has_or_can_gain_a_privilege(name: str) -> None:
    assert ALL[name]["cap_drop"] == ["ALL"]
    assert ALL[name]["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in ALL[name]
    assert "cap_add" not in ALL[name]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_a_settings_profile_is_valid(profile: Path, tmp_path: Path) -> None:
    loaded = settings.load({"SMARTSHELF_PROFILE": profile.stem, "SMARTSHELF_HOME": str(tmp_path)})
    given = settings.read_env_file(profile)
    names = {str(field.alias): name for name, field in Settings.model_fields.items()}
    assert given.keys() <= names.keys()
    assert all(str(getattr(loaded, names[key])) in {value, f"{value}.0"} for key, value in given.items())


def test_there_is_a_profile_for_presenters() -> None:
    assert "demo" in {path.stem for path in PROFILES}

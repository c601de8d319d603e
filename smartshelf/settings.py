"""Every setting, typed, with its default, from the environment.

Order of precedence: the process environment, then the settings profile named by
``SMARTSHELF_PROFILE`` (``conf/profiles/NAME.env``), then the embedded store of this checkout
(``$SMARTSHELF_HOME/store.env``, written by ``smartshelf up``), then the defaults below.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from smartshelf.domain.calendar import WEEKDAYS, Calendar, Timetable
from smartshelf.domain.policy import SHELF_DEFAULTS
from smartshelf.errors import SettingError

CHECKOUT = Path(__file__).resolve().parent.parent

#: Settings that systems like this one have used before: refused with the name of what replaces them.
REPLACED = {
    "SLEEP": "TIME_MULTIPLIER (simulated seconds per real second)",
    "SHELF_SLEEP": "TIME_MULTIPLIER (simulated seconds per real second)",
    "TIME_SCALE": "TIME_MULTIPLIER (simulated seconds per real second)",
    "WRITE_TO_PG": "nothing: Kafka Connect always keeps Postgres in step",
}


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("must name its zone, for example 2026-01-01T07:00:00Z")
    return value.astimezone(UTC)


#: Greatest multiplier; `auto` has no limit but the machine's.
MAX_SPEED = 100_000


def _multiplier(value: Any) -> Any:
    if isinstance(value, str) and value.strip().lower() == "auto":
        return "auto"
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError("must be a number > 0 or 'auto'") from None
    if not 0 < number <= MAX_SPEED:
        raise ValueError(f"must be a number > 0 and <= {MAX_SPEED}, or 'auto'")
    return number


def _stores(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _weekdays(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        days = [_weekday(part) for part in value.replace(",", " ").split()]
    except ValueError:
        days = []
    if not days:
        raise ValueError("must be weekdays, for example sun,tue,thu or 6,1,3 (0 is Monday)")
    return tuple(dict.fromkeys(days))


def _weekday(text: str) -> int:
    number = int(text) if text.isdigit() else WEEKDAYS.index(text.lower()[:3])
    if number not in range(7):
        raise ValueError(text)
    return number


Moment = Annotated[datetime, AfterValidator(_aware)]
Weekdays = Annotated[tuple[int, ...], BeforeValidator(_weekdays)]
StoreId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]


class Settings(BaseModel):
    """All settings of one store. Times are simulated UTC unless a name says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)

    # Simulated time
    use_simulated_time: bool = Field(True, alias="USE_SIMULATED_TIME")
    sim_start: Moment = Field(datetime(2026, 1, 1, 7, tzinfo=UTC), alias="SIM_START")
    sim_days: int = Field(365, alias="SIM_DAYS", ge=1, le=36_500)
    time_multiplier: Annotated[float | Literal["auto"], BeforeValidator(_multiplier)] = Field(
        60.0, alias="TIME_MULTIPLIER", description="simulated seconds per real second, or auto"
    )
    step_seconds: int = Field(60, alias="STEP_SECONDS", ge=1, le=3600, description="simulated seconds")

    world: Literal["simulated", "feed"] = Field(
        "simulated", alias="SMARTSHELF_WORLD", description="feed: an outside system writes the Redis streams"
    )

    # The week (simulated UTC)
    cutoff_dows: Weekdays = Field(
        (6, 1, 3), alias="CUTOFF_DOWS", description="weekdays of the order cutoffs, Monday = 0"
    )
    cutoff_hour: int = Field(12, alias="CUTOFF_HOUR", ge=0, le=23)
    cutoff_minute: int = Field(0, alias="CUTOFF_MINUTE", ge=0, le=59)
    delivery_dows: Weekdays = Field((0, 2, 4), alias="DELIVERY_DOWS", description="weekdays of deliveries, Monday = 0")
    delivery_hour: int = Field(8, alias="DELIVERY_HOUR", ge=0, le=23)
    delivery_minute: int = Field(0, alias="DELIVERY_MINUTE", ge=0, le=59)

    remove_mode: Literal["next_day", "same_day_evening"] = Field(
        "next_day", alias="REMOVE_MODE", description="expired lots leave at 06:00 the day after, or at 23:30 on the day"
    )

    near_expiry_days: int = Field(
        int(SHELF_DEFAULTS["near_expiry_days"]), alias="NEAR_EXPIRY_DAYS", ge=0, le=365,
        description="first value of the stores' policy for lots in the store; later edits of the policy hold",
    )  # fmt: skip

    # The store
    stores: Annotated[tuple[StoreId, ...], BeforeValidator(_stores)] = Field(("S01",), alias="STORES", min_length=1)
    seed: int = Field(1, alias="SEED", ge=0, le=2**63 - 1)
    scale: float = Field(1.0, alias="SCALE", gt=0, le=100)

    # Streaming
    starting_offsets: Literal["earliest", "latest"] = Field("earliest", alias="STARTING_OFFSETS")
    max_offsets_per_trigger: int = Field(100_000, alias="MAX_OFFSETS_PER_TRIGGER", ge=1)
    store_trigger_ms: int = Field(300, alias="STORE_TRIGGER_MS", ge=0, description="real milliseconds")
    mirror_trigger_ms: int = Field(2_000, alias="MIRROR_TRIGGER_MS", ge=0, description="real milliseconds")
    raw_trigger_ms: int = Field(15_000, alias="RAW_TRIGGER_MS", ge=0, description="real milliseconds")
    fact_partitions: int = Field(1, alias="FACT_PARTITIONS", ge=1, le=256)
    spark_split: str = Field(
        "",
        alias="SPARK_SPLIT",
        description="jobs of each Spark process, with commas, processes with slashes, one of them `rest`; empty: one",
    )
    dash_refresh_ms: int = Field(2_000, alias="DASH_REFRESH_MS", ge=250, description="real milliseconds")

    # Where things are
    profile: str | None = Field(None, alias="SMARTSHELF_PROFILE")
    home: Path = Field(CHECKOUT / ".smartshelf", alias="SMARTSHELF_HOME")
    data_dir: Path = Field(CHECKOUT / "data", alias="SMARTSHELF_DATA")
    delta_root: Path = Field(CHECKOUT / "delta", alias="SMARTSHELF_DELTA")
    jars_dir: Path | None = Field(None, alias="SMARTSHELF_JARS")
    checkpoints_dir: Path | None = Field(None, alias="SMARTSHELF_CHECKPOINTS")
    epoch: int = Field(1, alias="SMARTSHELF_EPOCH", ge=1)
    redis_url: str = Field("redis://127.0.0.1:6379/0", alias="SMARTSHELF_REDIS_URL")
    kafka_bootstrap: str = Field("127.0.0.1:9092", alias="SMARTSHELF_KAFKA")
    connect_url: str = Field("http://127.0.0.1:8083", alias="SMARTSHELF_CONNECT_URL")
    dashboard_url: str = Field("http://127.0.0.1:8501", alias="SMARTSHELF_DASHBOARD_URL")
    postgres_host: str = Field("127.0.0.1", alias="SMARTSHELF_POSTGRES_HOST")
    postgres_port: int = Field(5432, alias="SMARTSHELF_POSTGRES_PORT", ge=1, le=65_535)
    # Goes unquoted into SQL and into the JDBC address: a plain name.
    postgres_db: str = Field("smartshelf", alias="SMARTSHELF_POSTGRES_DB", pattern=r"^[a-z_][a-z0-9_]{0,62}$")
    postgres_owner_password: SecretStr = Field(SecretStr(""), alias="SMARTSHELF_POSTGRES_OWNER_PASSWORD")
    postgres_sink_password: SecretStr = Field(SecretStr(""), alias="SMARTSHELF_POSTGRES_SINK_PASSWORD")
    postgres_debezium_password: SecretStr = Field(SecretStr(""), alias="SMARTSHELF_POSTGRES_DEBEZIUM_PASSWORD")
    postgres_analyst_password: SecretStr = Field(SecretStr(""), alias="SMARTSHELF_POSTGRES_ANALYST_PASSWORD")
    postgres_app_password: SecretStr = Field(SecretStr(""), alias="SMARTSHELF_POSTGRES_APP_PASSWORD")
    postgres_runner_password: SecretStr = Field(SecretStr(""), alias="SMARTSHELF_POSTGRES_RUNNER_PASSWORD")

    @property
    def jars(self) -> Path:
        """Folder with the kafka, spark, sink, source and build jars."""
        return self.jars_dir or self.home / "jars"

    @property
    def checkpoints(self) -> Path:
        """Root folder of Spark's checkpoints."""
        return self.checkpoints_dir or self.delta_root / "_checkpoints"

    @property
    def spark_parts(self) -> tuple[str, ...]:
        """The jobs of each Spark process, as ``SPARK_SPLIT`` names them."""
        return tuple(part.strip() for part in self.spark_split.split("/"))

    @property
    def sim_end(self) -> datetime:
        """The instant at which the clock stops by itself."""
        return self.sim_start + timedelta(days=self.sim_days)

    @property
    def calendar(self) -> Calendar:
        """The store's week: cutoffs and deliveries as set, opening hours fixed."""
        return Calendar(
            cutoff=Timetable(frozenset(self.cutoff_dows), time(self.cutoff_hour, self.cutoff_minute)),
            delivery=Timetable(frozenset(self.delivery_dows), time(self.delivery_hour, self.delivery_minute)),
        )


def opens_at(config: Settings) -> datetime:
    """T(0) of the store: as configured; on the wall clock, the moment the data were made for.

    SettingError when there are no such data.
    """
    if config.use_simulated_time:
        return config.sim_start
    manifest = config.data_dir / "manifest.json"
    try:
        return datetime.fromisoformat(json.loads(manifest.read_text())["start"])
    except FileNotFoundError:
        raise SettingError(
            "The generated data, which say when a store on the wall clock opened, are not where SMARTSHELF_DATA says",
            value=str(manifest),
            remedy="Set it to the folder of the running store, or start the store: `smartshelf up` builds them.",
        ) from None


def read_env_file(path: Path) -> dict[str, str]:
    """``NAME=value`` lines of a file; blank lines and ``#`` comments are skipped; {} if there is no file.

    Raises SettingError naming the file and the line that is neither.
    """
    if not path.is_file():
        return {}
    values = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = value.strip()
        elif name and not name.startswith("#"):
            raise SettingError(f"{path} line {number} is not NAME=value", value=name, remedy="Correct the file.")
    return values


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from ``environ`` (default: the process's) over profile over the embedded store's file.

    Raises SettingError naming the variable, the value found and what is allowed.
    """
    env = dict(os.environ if environ is None else environ)
    known = known_settings()
    _refuse_retired(env)
    # Any other name in the environment may belong to another program.
    _refuse_unknown((name for name in env if name.startswith("SMARTSHELF_")), known)
    home = Path(env.get("SMARTSHELF_HOME", CHECKOUT / ".smartshelf"))
    layers = read_env_file(home / "store.env")
    if profile := env.get("SMARTSHELF_PROFILE") or layers.get("SMARTSHELF_PROFILE"):
        given = _profile(profile)
        _refuse_retired(given)
        _refuse_unknown(given, known)
        layers |= given
    layers |= {name: value for name, value in env.items() if name in known}
    try:
        return Settings.model_validate({name: value for name, value in layers.items() if name in known})
    except ValidationError as failed:
        problem = failed.errors()[0]
        raise SettingError(
            f"The setting {problem['loc'][0]} is wrong",
            value=problem["input"],
            remedy=f"Allowed: {problem['msg'].removeprefix('Value error, ')}.",
        ) from None


def known_settings() -> set[str]:
    """The names of all settings."""
    return {field.alias for field in Settings.model_fields.values() if field.alias}


def _refuse_retired(given: Mapping[str, str]) -> None:
    for name, instead in REPLACED.items():
        if name in given:
            raise SettingError(
                f"The setting {name} does not exist any more", value=given[name], remedy=f"Use {instead}."
            )


def _refuse_unknown(names: Iterable[str], known: Collection[str]) -> None:
    # Without the value: a mistyped name may be that of a password.
    if unknown := sorted(name for name in names if name not in known):
        close = difflib.get_close_matches(unknown[0], known, n=1)
        meant = f"Did you mean {close[0]}? " if close else ""
        raise SettingError(f"Unknown setting {unknown[0]}", remedy=f"{meant}smartshelf/settings.py lists them all.")


def _profile(name: str) -> dict[str, str]:
    folder = CHECKOUT / "conf" / "profiles"
    path = folder / f"{name}.env"
    if not path.is_file():
        there = ", ".join(sorted(file.stem for file in folder.glob("*.env"))) or "none"
        raise SettingError("There is no such settings profile", value=name, remedy=f"Profiles: {there}.")
    return read_env_file(path)


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return load()

"""``smartshelf clock``: look at the time of a store and steer it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any

import typer

from simulated_time.store import Clock, Status, iso
from smartshelf.domain import calendar
from smartshelf.domain.calendar import Timetable
from smartshelf.errors import BadInput
from smartshelf.io import redis_stream
from smartshelf.settings import settings

app = typer.Typer(help="The simulated time of a store: look, speed, pause, fast-forward.", no_args_is_help=True)


@app.command(epilog="Example: smartshelf clock status --json")
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the time, the speed asked for and achieved, and who holds the clock."""
    found = _clock().status()
    if as_json:
        typer.echo(json.dumps(to_json(found), indent=2))
        return
    lines = {
        "now": f"{iso(found.now)} ({found.now:%A}), step {found.step}",
        "state": found.text,
        "speed": f"{_speed(found)}, achieved {'-' if found.achieved is None else f'{found.achieved:.0f}x'}",
        "end": "none" if found.sim_end is None else iso(found.sim_end),
        "holds": "none",
    }
    if found.holds:
        lines["holds"] = "; ".join(
            f"{hold.name}: {hold.why}" + (f", lease until {iso(hold.until)} (wall clock)" if hold.until else "")
            for hold in found.holds
        )
    for name, text in lines.items():
        typer.echo(f"{name:<6} {text}")


@app.command(epilog="Example: smartshelf clock speed 600")
def speed(
    multiplier: Annotated[str, typer.Argument(metavar="X", help="Simulated seconds per real second.")],
) -> None:
    """Run at X simulated seconds per real second. Ends a pause and an advance."""
    try:
        number = float(multiplier)
    except ValueError:
        raise BadInput(
            "A speed is a number (simulated seconds per real second)",
            value=multiplier,
            remedy="For as fast as possible: `smartshelf clock auto`.",
        ) from None
    clock = _clock()
    clock.set_speed(number)
    _tell(clock)


@app.command(epilog="Example: smartshelf clock auto")
def auto() -> None:
    """Run as fast as the store keeps up. Ends a pause and an advance."""
    clock = _clock()
    clock.auto()
    _tell(clock)


@app.command(epilog="Example: smartshelf clock pause")
def pause() -> None:
    """Stop the time at the end of the running step."""
    typer.echo(f"pausing at {iso(_clock().pause())}; `smartshelf clock resume` goes on")


@app.command(epilog="Example: smartshelf clock resume")
def resume() -> None:
    """Go on after a pause, as before it."""
    clock = _clock()
    clock.resume()
    _tell(clock)


@app.command(epilog="Example: smartshelf clock advance --next cutoff")
def advance(
    to: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Simulated UTC: 2026-01-02T12:00, 12:00 (the next one) or +2h30m (from now).",
        ),
    ] = None,
    upcoming: Annotated[calendar.Event | None, typer.Option("--next", help="To the next one of these.")] = None,
    wait: Annotated[bool, typer.Option(help="Return when the store is there.")] = True,
) -> None:
    """Fast-forward, leaving nothing out, and pause there. Ends a pause."""
    if (to is None) == (upcoming is None):
        raise BadInput(
            "Say where to, in one way", remedy="Use --to TIME or --next cutoff, delivery, opening or closing."
        )
    clock = _clock()
    now = clock.now()
    moment = settings().calendar.next(upcoming, now) if upcoming else parse_time(to or "", now)
    goal = clock.advance_to(moment)
    if not wait:
        typer.echo(f"advancing to {iso(goal)}")
        return
    _wait(clock, now, goal)
    typer.echo(f"paused at {iso(goal)}; `smartshelf clock resume` goes on")


def parse_time(text: str, now: datetime) -> datetime:
    """A person's way to name a simulated moment; without a zone it is UTC. Raises BadInput."""
    try:
        if found := re.fullmatch(r"\+(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?", text):
            days, hours, minutes = (int(part or 0) for part in found.groups())
            return now + timedelta(days=days, hours=hours, minutes=minutes)
        if re.fullmatch(r"\d{1,2}:\d{2}", text):
            return Timetable(calendar.EVERY_DAY, time.fromisoformat(text.zfill(5))).after(now)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise BadInput(
            "This is not a time", value=text, remedy="Use 2026-01-02T12:00, 12:00 (the next one) or +2h30m."
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def to_json(found: Status) -> dict[str, Any]:
    """The status as plain JSON values; used by `smartshelf status --json` too."""
    return {
        "now": iso(found.now),
        "target": iso(found.target),
        "step": found.step,
        "state": found.state,
        "text": found.text,
        "mode": found.mode,
        "speed": "auto" if found.mode in ("auto", "advance") else found.speed,
        "achieved": found.achieved,
        "goal": found.goal and iso(found.goal),
        "holds": [
            {"name": hold.name, "why": hold.why, "until": hold.until and iso(hold.until)} for hold in found.holds
        ],
        "sim_start": iso(found.sim_start),
        "sim_end": found.sim_end and iso(found.sim_end),
        "step_seconds": found.step_seconds,
        "epoch": found.epoch,
        "alive": found.alive,
    }


def _clock() -> Clock:
    return Clock(redis_stream.connect(settings().redis_url))


def _speed(found: Status) -> str:
    return "as fast as the store keeps up" if found.mode in ("auto", "advance") else f"{found.speed:g}x"


def _tell(clock: Clock) -> None:
    found = clock.status()
    typer.echo(f"{iso(found.now)}: {found.text}")


def _wait(clock: Clock, start: datetime, goal: datetime) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), console=console
    )
    with bar:
        task = bar.add_task(iso(start), total=(goal - start).total_seconds())

        def show(found: Status) -> None:
            speed = "" if found.achieved is None else f", {found.achieved:.0f}x"
            lived = (found.now - start).total_seconds()
            bar.update(task, completed=lived, description=f"{iso(found.now)} {found.text}{speed}")

        clock.wait_until(goal, progress=show)

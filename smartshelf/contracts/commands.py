"""What a person may ask of a running store: the content of ``ops.commands.what``, and which stage carries it out.

To add a kind: a class here, its name in ``OWNERS`` and a few lines in that stage. Wishes about alerts go by their id.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from smartshelf.contracts.events import Location
from smartshelf.contracts.rows import Command
from smartshelf.contracts.stages import STAGES
from smartshelf.contracts.types import ABSURD_QUANTITY, Id, Stock, Text

#: Answers for commands that no other stage answers for.
FALLBACK = STAGES[0]

Counted = Annotated[int, Meta(ge=0, le=ABSURD_QUANTITY, description="units as counted")]


class What(Struct, kw_only=True, frozen=True, tag_field="kind", forbid_unknown_fields=True):
    """One wish; ``note`` is for other people to read."""

    note: Text | None = None


class AckAlert(What, tag="ack_alert", kw_only=True, frozen=True):
    """Somebody has seen the alert and looks after it."""

    alert_id: Id


class DismissAlert(What, tag="dismiss_alert", kw_only=True, frozen=True):
    """The alert is of no use; its subject is quiet until its condition has cleared and comes back."""

    alert_id: Id


class AssignAlert(What, tag="assign_alert", kw_only=True, frozen=True):
    """The alert is somebody's to look after."""

    alert_id: Id
    assigned_to: Id


class CancelPlan(What, tag="cancel_plan", kw_only=True, frozen=True):
    """Take nothing more from the backroom for this restock plan."""

    plan_id: Id


class CountShelf(What, tag="count", kw_only=True, frozen=True):
    """Somebody counted a shelf, one lot on it, or one lot in the backroom (``location`` warehouse)."""

    shelf_id: Id
    batch_code: Id | None = None
    quantity: Counted
    reason: Literal["cycle", "correction"] = "cycle"
    location: Location = "store"


class OrderUnits(What, tag="order", kw_only=True, frozen=True):
    """Order so many units at the next cutoff, whatever rule and model say; 0 withdraws the wish."""

    shelf_id: Id
    qty: Stock


class CancelSupplierPlan(What, tag="cancel_supplier_plan", kw_only=True, frozen=True):
    """Order nothing by this plan."""

    supplier_plan_id: Id


ALERT_COMMANDS = (AckAlert, DismissAlert, AssignAlert)
KINDS: dict[str, type[What]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (*ALERT_COMMANDS, CancelPlan, CountShelf, OrderUnits, CancelSupplierPlan)
}
#: Kind -> the stage that carries it out. Alerts name theirs in their id.
OWNERS: dict[str, str] = {
    "cancel_plan": "restock_manager",
    "count": "shelf_aggregator",
    "order": "supplier_manager",
    "cancel_supplier_plan": "supplier_manager",
}
_BACKROOM_COUNTS = "restock_manager"
_ID_SEPARATOR = "-"

_Any = AckAlert | DismissAlert | AssignAlert | CancelPlan | CountShelf | OrderUnits | CancelSupplierPlan
_decode = msgspec.json.Decoder(_Any).decode


class Asked(NamedTuple):
    """A command as the stages see it. ``what`` is None where it cannot be followed; ``problem`` says why."""

    command_id: str
    who: str
    #: The stage that answers.
    stage: str
    what: Any = None
    problem: str = ""


def alert_name(stage: str, digest: str) -> str:
    """An alert's id: it says whose it is, so that commands find their way."""
    return f"{stage}{_ID_SEPARATOR}{digest}"


def read(command: Command) -> Asked:
    """The wish in a command, or why it is none."""
    try:
        what = _decode(command.what)
    except msgspec.DecodeError as wrong:
        return Asked(command.command_id, command.who, FALLBACK, problem=_refusal(command.what, str(wrong)))
    stage = _owner(what)
    if stage not in STAGES:
        return Asked(command.command_id, command.who, FALLBACK, problem=_nobody(what))
    return Asked(command.command_id, command.who, stage, what)


def _owner(what: Any) -> str:
    if isinstance(what, ALERT_COMMANDS):
        return what.alert_id.rpartition(_ID_SEPARATOR)[0]
    if isinstance(what, CountShelf) and what.location == "warehouse":
        return _BACKROOM_COUNTS
    return OWNERS[str(type(what).__struct_config__.tag)]


def _nobody(what: Any) -> str:
    if isinstance(what, ALERT_COMMANDS):
        return f"There is no alert {what.alert_id}."
    return f"Nothing in this store carries out the command {type(what).__struct_config__.tag}."


def _refusal(text: str, wrong: str) -> str:
    try:
        said = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return "The command is not JSON."
    kind = said.get("kind") if isinstance(said, dict) else None
    if kind not in KINDS:
        return f"There is no command {msgspec.json.encode(kind).decode()[:100]}. There are: {', '.join(KINDS)}."
    return f"The command {kind} cannot be followed: {wrong[:500]}."

"""The data dictionary as Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from smartshelf.contracts.commands import KINDS
from smartshelf.contracts.events import Event
from smartshelf.contracts.render.columns import AnyType, Column, ListOf, MapOf, Record, Scalar, columns
from smartshelf.contracts.render.postgres import sql_type
from smartshelf.contracts.tables import TABLES
from smartshelf.contracts.topics import TOPICS, Topic

_HEAD = """# Data dictionary

Rendered from the classes in this folder by `make contracts`; do not edit. JSON on the wire; times are
ISO 8601 with `Z`; a field marked `?` may be null or left out. JSON Schemas stand in `schemas/`.
"""


def dictionary() -> str:
    """The whole page: topics at a glance, the envelope, every message, every table."""
    parts = [_HEAD, "## Topics\n", *_overview(), "\n## Envelope of every event\n", *_fields(columns(Event))]
    parts.append("\n## Messages\n")
    for topic in TOPICS.values():
        parts += _topic(topic)
    parts += _commands()
    parts.append("## Postgres tables that Kafka Connect keeps in step\n")
    for table in TABLES.values():
        arrow = "topic -> table" if table.direction == "sink" else "table -> topic"
        parts += [f"### {table.full_name} ({arrow} `{table.topic.name}`)\n"]
        parts += [f"Primary key: {', '.join(table.row.primary_key)}\n"]
        parts += ["| column | type | null |", "|---|---|---|"]
        for column in columns(table.row):
            parts.append(f"| {column.name} | {sql_type(column.type)} | {'yes' if column.nullable else 'no'} |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def _overview() -> Iterable[str]:
    yield "| topic | kind | key | written by | kept | what it carries |"
    yield "|---|---|---|---|---|---|"
    for topic in TOPICS.values():
        kept = "latest per key" if topic.compacted else "all"
        key = ", ".join(topic.row.primary_key) if topic.row else topic.key
        yield f"| `{topic.name}` | {topic.kind} | {key} | {topic.owner} | {kept} | {topic.about} |"


def _topic(topic: Topic) -> Iterable[str]:
    shapes = topic.events or topic.messages or ((topic.row,) if topic.row else ())
    if not shapes:
        return
    envelope = {column.name for column in columns(Event)} if topic.events else set()
    yield f"### {topic.name}\n"
    for shape in shapes:
        about = (shape.__doc__ or "").strip().split("\n")[0]
        tag = shape.__struct_config__.tag
        yield f"**{tag or shape.__name__}**: {about}\n"
        yield from _fields(column for column in columns(shape) if column.name not in envelope | {"event_type"})
        yield ""


def _commands() -> Iterable[str]:
    yield "## Commands: what `commands.what` may say\n"
    for kind, shape in KINDS.items():
        yield f"**{kind}**: {(shape.__doc__ or '').strip()}\n"
        yield from _fields(column for column in columns(shape) if column.name != "kind")
        yield ""


def _fields(parts: Iterable[Column]) -> Iterable[str]:
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    yield from _rows(parts, "")


def _rows(parts: Iterable[Column], prefix: str) -> Iterable[str]:
    for part in parts:
        optional = "" if part.required else "?"
        yield f"| {prefix}{part.name}{optional} | {_name(part.type)} | {_meaning(part.type)} |"
        if isinstance(part.type, ListOf) and isinstance(part.type.item, Record):
            yield from _rows(part.type.item.columns, f"{prefix}{part.name}[].")


def _name(kind: AnyType) -> str:
    match kind:
        case Scalar():
            return kind.kind
        case ListOf():
            return f"list of {_name(kind.item)}"
        case MapOf():
            return f"map of {_name(kind.value)}"
        case Record():
            return "record"


def _meaning(kind: AnyType) -> str:
    if not isinstance(kind, Scalar):
        return ""
    words = [kind.description] if kind.description else []
    if kind.allowed:
        words.append(", ".join(f"`{value}`" for value in kind.allowed))
    if kind.minimum is not None or kind.maximum is not None:
        low = "" if kind.minimum is None else str(kind.minimum)
        high = "" if kind.maximum is None else str(kind.maximum)
        words.append(f"{low}..{high}")
    return "; ".join(words)

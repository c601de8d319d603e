"""Deterministic ids: the same fact, task or alert has the same id on every run and replay."""

from __future__ import annotations

from hashlib import blake2b


def stable_id(*parts: object) -> str:
    """A 20-character id of the parts, in order."""
    text = "\x1f".join(str(part) for part in parts)
    return blake2b(text.encode(), digest_size=10).hexdigest()


def fact_id(source: str, stream: str, seq: int) -> str:
    """Id of a fact of one of our own sources."""
    return stable_id("fact", source, stream, seq)


def task_id(kind: str, store_id: str, subject: str, number: int, opened_step: int) -> str:
    """Id of a task; ``subject`` is the plan, order or lot it serves."""
    return stable_id("task", kind, store_id, subject, number, opened_step)

"""May a schema replace another within one version? Only optional additions: what was valid stays valid.

Records live for ever in topics and in the archive, and outside systems write by the schema that they were given.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

#: Keys that say nothing about which values are valid.
_WORDS = frozenset({"$schema", "title", "description", "default", "x-key", "discriminator", "$defs"})
#: Bounds: a greater one allows more, or a smaller one.
_UPPER = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems"})
_LOWER = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems"})


def incompatibilities(old: Schema, new: Schema) -> list[str]:
    """What was valid under ``old`` and is not under ``new``, one line each; [] when nothing is."""
    found = list(_narrowed("", old, new))
    for name, shape in old.get("$defs", {}).items():
        if name not in new.get("$defs", {}):
            found.append(f"{name} is gone")
        else:
            found += _narrowed(name, shape, new["$defs"][name])
    return found


def _narrowed(where: str, old: Schema, new: Schema) -> Iterator[str]:
    if "anyOf" in old or "anyOf" in new:
        yield from _choices(where, old.get("anyOf", [old]), new.get("anyOf", [new]))
        return
    for name, part in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{where}.{name} is gone"
        else:
            yield from _narrowed(f"{where}.{name}", part, new["properties"][name])
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{where}.{name} must be there now"
    for name in ("items", "additionalProperties"):
        if isinstance(old.get(name), dict) and isinstance(new.get(name), dict):
            yield from _narrowed(f"{where}[]", old[name], new[name])
    for key in sorted((old.keys() | new.keys()) - _WORDS - {"properties", "required", "items", "additionalProperties"}):
        if not _allows(key, old.get(key), new.get(key)):
            yield f"{where or 'the message'} allows less: {key} was {old.get(key)}, is {new.get(key)}"


def _choices(where: str, old: list[Schema], new: list[Schema]) -> Iterator[str]:
    for choice in old:
        if all(any(_narrowed(where, choice, other)) for other in new):
            yield f"{where or 'the message'} may no longer be {choice.get('$ref') or choice.get('type') or choice}"


def _allows(key: str, old: Any, new: Any) -> bool:
    """Whether what ``old`` allows is allowed by ``new``; None is no bound."""
    if old == new:
        return True
    if key == "enum":
        return old is not None and (new is None or set(old) <= set(new))
    if key in _UPPER or key in _LOWER:
        return new is None or (old is not None and (new >= old if key in _UPPER else new <= old))
    return key in ("pattern", "format") and new is None

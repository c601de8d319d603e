"""Read a YAML file into a checked model; every problem is reported with its line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from smartshelf.errors import BadInput

# libyaml is ten times faster; the pure Python loader does the same where a wheel lacks it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Location = Sequence[str | int]


class Strict(BaseModel):
    """A part of a file: unknown names are refused, nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Problem:
    """One thing wrong at one place of a file."""

    location: tuple[str | int, ...]
    text: str


Model = TypeVar("Model", bound=BaseModel)


def load(path: Path, model: type[Model], explain: Callable[[dict[str, Any]], str | None] | None = None) -> Model:
    """The file as ``model``.

    ``explain`` may turn an error of pydantic into a better sentence. Raises BadInput that lists
    every problem with file and line.
    """
    text = _read(path)
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as failed:
        mark = getattr(failed, "problem_mark", None)
        where = f"{path.name} line {mark.line + 1}" if mark else path.name
        raise BadInput(
            f"{where} is not YAML: {getattr(failed, 'problem', failed)}", remedy="Correct that line and try again."
        ) from None
    try:
        return model.model_validate(content)
    except ValidationError as failed:
        raise bad_file(path, [_problem(error, explain) for error in failed.errors()]) from None


def bad_file(path: Path, problems: Iterable[Problem]) -> BadInput:
    """The error that names each problem's line in ``path``."""
    root = yaml.compose(_read(path), Loader=_Loader)
    lines = [f"{path.name} line {_line(root, problem.location)}: {problem.text}" for problem in problems]
    return BadInput(f"{path} cannot be used", remedy="Correct these lines:", problems=lines)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as failed:
        raise BadInput(
            f"{path} cannot be read: {failed}", remedy="It must be a text file in UTF-8 that you may read."
        ) from None


def _problem(error: dict[str, Any] | Any, explain: Callable[[dict[str, Any]], str | None] | None) -> Problem:
    location = tuple(error["loc"])
    if explain and (better := explain(error)):
        return Problem(location, better)
    name = next((str(part) for part in reversed(location) if isinstance(part, str)), "the file")
    if error["type"] == "missing":
        return Problem(location, f"`{name}` is missing; add it.")
    if error["type"] == "extra_forbidden":
        return Problem(location, f"`{name}` is not a known name; remove it or correct its spelling.")
    return Problem(location, f"`{name}` {error['msg'].removeprefix('Value error, ')}. Found: {error['input']!r}.")


def _line(node: yaml.Node | None, location: Location) -> int:
    """The line of the deepest part of ``location`` that the file has; 1 for an empty file."""
    line = 1
    for part in location:
        following = _child(node, part)
        if following is None:
            break
        node = following
        line = node.start_mark.line + 1
    return line


def _child(node: yaml.Node | None, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part]
    return None

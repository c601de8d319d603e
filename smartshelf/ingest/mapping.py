"""What a file calls things: a YAML file beside the data, as for ``smartshelf replay``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from data import yaml_source
from data.yaml_source import Strict
from smartshelf.errors import BadInput

Name = Annotated[str, Field(min_length=1)]
Delimiter = Literal[",", ";", "\t", "|"]


class Mapping(Strict):
    """How to read a file. Everything has a default: a file that uses our names needs no mapping."""

    #: our column -> the file's
    columns: dict[Name, Name] = Field(default_factory=dict)
    #: our column -> the value it has in every row
    constants: dict[Name, Name] = Field(default_factory=dict)
    #: Format of dates and times as in strptime, for example "%d.%m.%Y %H:%M"; None: ISO 8601.
    dates: Name | None = None
    decimal: Literal[".", ","] = "."
    encoding: Name = "utf-8"
    #: None: the one that fits the header.
    delimiter: Delimiter | None = None


def read(path: Path | None, told: dict[str, str]) -> Mapping:
    """The mapping or the defaults, with what was ``told`` besides. Raises BadInput listing every problem."""
    mapping = Mapping()
    if path is not None:
        if not path.is_file():
            remedy = "smartshelf/ingest/README.md explains what it may say."
            raise BadInput("There is no such mapping", value=str(path), remedy=remedy)
        mapping = yaml_source.load(path, Mapping)
    try:
        return Mapping.model_validate(mapping.model_dump() | told)
    except ValidationError:
        raise BadInput("This delimiter is not known", value=told["delimiter"], remedy="Use , ; | or a tab.") from None

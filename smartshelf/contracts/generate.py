"""Writes every file that is rendered from the contracts, or checks that none is stale.

python -m smartshelf.contracts.generate            write them (`make contracts`)
python -m smartshelf.contracts.generate --check    exit 1 and name every stale file

The schemas that are there already are what others rely on: a change that is no optional addition is refused, unless
``--incompatible`` says so (a new version, or a topic that nobody has records of yet).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smartshelf.contracts.render import compatible, connect, jsonschema, markdown
from smartshelf.contracts.topics import TOPICS

CHECKOUT = Path(__file__).resolve().parents[2]
#: Folders that hold nothing but rendered files: anything else in them is left over.
CONNECTORS = Path("connect/generated")
SCHEMAS = Path("smartshelf/contracts/schemas")
DICTIONARY = Path("smartshelf/contracts/README.md")


def rendered() -> dict[Path, str]:
    """Every rendered file, by its path in the checkout."""
    files = {CONNECTORS / f"{connector['name']}.json": _pretty(connector) for connector in connect.connectors()}
    for topic in TOPICS.values():
        if schema := jsonschema.topic_schema(topic):
            files[SCHEMAS / f"{topic.name}.json"] = _pretty(schema)
    files[DICTIONARY] = markdown.dictionary()
    return files


def stale(root: Path, files: Mapping[Path, str]) -> list[str]:
    """What differs below ``root`` from ``files``: one line per file that is missing, out of date or left over."""
    wrong = []
    for path, text in files.items():
        target = root / path
        if not target.is_file():
            wrong.append(f"{path} is missing")
        elif target.read_text() != text:
            wrong.append(f"{path} is out of date")
    return wrong + [f"{path} is left over" for path in _left_over(root, files)]


def write(root: Path, files: Mapping[Path, str]) -> list[Path]:
    """Write what differs below ``root``, delete what is left over, and return the paths touched."""
    touched = _left_over(root, files)
    for path in touched:
        (root / path).unlink()
    for path, text in files.items():
        target = root / path
        if not target.is_file() or target.read_text() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            touched.append(path)
    return touched


def broken_promises(root: Path, files: Mapping[Path, str]) -> list[str]:
    """What a new schema no longer allows that its file below ``root`` does, one line each."""
    found = []
    for path, text in files.items():
        if path.parent == SCHEMAS and (root / path).is_file():
            old, new = json.loads((root / path).read_text()), json.loads(text)
            found += [f"{path.stem}: {line}" for line in compatible.incompatibilities(old, new)]
    return found


def _left_over(root: Path, files: Mapping[Path, str]) -> list[Path]:
    there = (path for folder in (CONNECTORS, SCHEMAS) for path in sorted((root / folder).glob("*.json")))
    return [path.relative_to(root) for path in there if path.relative_to(root) not in files]


def _pretty(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m smartshelf.contracts.generate", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when a file is stale")
    parser.add_argument("--incompatible", action="store_true", help="write schemas that refuse what was valid before")
    options = parser.parse_args(arguments)
    files = rendered()
    if not options.incompatible and (broken := broken_promises(CHECKOUT, files)):
        for line in broken:
            print(line, file=sys.stderr)
        print(
            "Within a version only optional additions are compatible (--incompatible writes it all the same).",
            file=sys.stderr,
        )
        return 1
    if not options.check:
        for path in write(CHECKOUT, files):
            print(f"wrote {path}" if path in files else f"deleted {path}")
        return 0
    wrong = stale(CHECKOUT, files)
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        print("Run `make contracts` and commit the result.", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

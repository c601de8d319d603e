"""``smartshelf data``: the generators' commands, and the one that needs world and stages as well."""

from data.cli import app
from smartshelf.facts.cli import facts

app.command("facts")(facts)

__all__ = ["app"]

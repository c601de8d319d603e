"""The exception tree.

SmartShelfError          a sentence for a person; never shown with a stack trace
├── SettingError         a setting has a wrong value
├── BadInput             a file or command-line value cannot be used
├── Unavailable          a dependency does not answer (transient: waiting or retrying may help)
└── Fenced               another instance took over; the supervisor restarts this one
"""

from __future__ import annotations

from collections.abc import Sequence


class SmartShelfError(Exception):
    """Something a person can act on: what is wrong, the value found, and the remedy."""

    exit_code = 2

    def __init__(self, what: str, *, value: object = None, remedy: str = "") -> None:
        self.what, self.value, self.remedy = what, value, remedy
        found = "" if value is None else f" Found: {value!r}."
        super().__init__(f"{what.rstrip('.')}.{found}{' ' + remedy if remedy else ''}")


class SettingError(SmartShelfError):
    """A setting has a value that is not allowed."""


class BadInput(SmartShelfError):
    """A file or argument cannot be used; lists every problem found, not only the first."""

    def __init__(
        self,
        what: str,
        *,
        value: object = None,
        remedy: str = "",
        problems: Sequence[str] = (),
    ) -> None:
        super().__init__(what, value=value, remedy=remedy)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  - {problem}" for problem in self.problems)])


class Unavailable(SmartShelfError):
    """A server or service that is needed does not answer."""


class Fenced(SmartShelfError):
    """Another instance with the same identity is at work; this one must go."""

    exit_code = 3

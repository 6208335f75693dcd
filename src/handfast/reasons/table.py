"""The table of reasons, and what a reason is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause of failure.

    ``name``      stable and machine-readable
    ``alert``     the AlertDescription we send, None where nothing is sent
    ``section``   where the rule stands
    ``sentence``  what happened, in plain words
    ``hint``      what either side can do
    """

    name: str
    alert: int | None
    section: str
    sentence: str
    hint: str = ""


_table: dict[str, Reason] = {}


def reason(name: str, alert: int | None, section: str, sentence: str, hint: str = "") -> Reason:
    """A new row of the table."""
    entry = _table[name] = Reason(name, alert, section, sentence, hint)
    return entry


def by_name(name: str) -> Reason:
    """The Reason called ``name``; KeyError if there is none."""
    return _table[name]


def every() -> tuple[Reason, ...]:
    """All reasons, in the order in which the modules of this package have them."""
    return tuple(_table.values())

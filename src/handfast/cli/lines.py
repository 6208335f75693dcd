"""How text for people is set: paragraphs, and names with values beside them."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime, timedelta
from typing import Final

from rich.text import Text

from handfast.cli.streams import Paper
from handfast.observe.phrases import count

WIDEST: Final = 100
BODY: Final = 4  # where the text of a message begins, below its name
NAME: Final = 22  # columns for the name of a field


def wrapped(out: Paper, text: str, indent: int) -> list[str]:
    """Lines of a text that begins at a column. Words that are too long stay whole."""
    room = max(min(out.width, WIDEST) - indent, 30)
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]


def paragraph(out: Paper, text: str, indent: int, style: str = "") -> None:
    """A text, wrapped."""
    for line in wrapped(out, text, indent):
        out.print(Text(" " * indent).append(line, style))


def field(out: Paper, name: str, value: str, meaning: str = "", indent: int = BODY, width: int = NAME) -> None:
    """A name, its value beside it, and the meaning: behind the value if there is room, or else below it."""
    start = indent + width
    if len(name) >= width:  # too long for its column: a line of its own
        out.print(Text(" " * indent).append(name, "cyan"))
        name = ""
    values = wrapped(out, value, start)
    head = Text(" " * indent).append(f"{name:<{width - 1}} ", "cyan").append(values[0])
    short = len(values) == 1 and start + len(value) + 2 + len(meaning) <= min(out.width, WIDEST)
    if short and meaning:
        head.append("  ").append(meaning, "dim")
    out.print(head)
    for line in values[1:]:
        out.print(" " * start + line)
    if meaning and not short:
        paragraph(out, meaning, start + 2, "dim")


def span(seconds: float) -> str:
    """A time without its sign, in the largest unit of which there are two or more."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if abs(seconds) >= 2 * size:
            return count(int(abs(seconds) // size), unit)
    return "less than two minutes"


# A minute that has begun counts: what was made a moment ago for thirty days has thirty left, and not twenty-nine.
_BEGUN: Final = timedelta(seconds=59)


def left(until: datetime, now: datetime) -> str:
    """How much time there is ``until`` something ends, which has not ended: "30 days left"."""
    seconds = (until - now + _BEGUN).total_seconds()
    return f"{span(seconds)} left" if seconds >= 120 else "1 minute left"


def days_left(until: datetime, now: datetime) -> int:
    """The same in whole days, for programs; below 0 where it has ended."""
    return (until - now + _BEGUN).days


def moment(when: datetime, now: datetime) -> str:
    """A day; where it is near, the minute too."""
    near = abs((when - now).total_seconds()) < 2 * 86_400
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if near else f"{when:%Y-%m-%d}"


def row(out: Paper, name: str, value: str, meaning: str = "") -> None:
    """A line of the summary: as :func:`field`."""
    field(out, name, value, meaning, indent=0, width=14)

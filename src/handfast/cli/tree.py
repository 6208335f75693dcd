"""Trees of certificates, and lines with a mark in front, in whatever characters the terminal has."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Final

from rich.text import Text

from handfast.cli.lines import WIDEST
from handfast.cli.streams import Paper

_FIELD: Final = 12  # columns for the name of a field
_LEAST: Final = 24  # columns for a value, however deep in the tree
_DEEPEST: Final = 64  # columns in front: what is deeper in the tree is no further to the right


@dataclass
class Node:
    """A certificate in the tree, or in place of one what is known of a missing one.

    ``lines``  names and values that stand below it
    ``below``  what it has issued
    """

    title: str
    lines: list[tuple[str, str, str]] = field(default_factory=list)
    below: list[Node] = field(default_factory=list)
    style: str = "bold"


@dataclass(frozen=True)
class _Signs:
    """The characters of a drawing: lines where the terminal has them, letters where it has ASCII alone."""

    branch: str
    last: str
    down: str
    good: str
    bad: str
    open: str


_LINES: Final = _Signs("├── ", "└── ", "│   ", "✓", "✗", "-")
_ASCII: Final = _Signs("|-- ", "`-- ", "|   ", "ok", "no", "--")


def _signs(out: Paper) -> _Signs:
    try:
        "├└│✓✗".encode(out.encoding)
    except (UnicodeEncodeError, LookupError):
        return _ASCII
    return _LINES


def draw(out: Paper, node: Node) -> None:
    """A tree, with what stands below each certificate."""
    signs = _signs(out)
    out.print(Text(node.title, node.style))
    waiting = _draw_lines(out, node, "", signs)
    while waiting:  # a file may have more authorities one below the other than Python has calls
        below, margin, is_last = waiting.pop()
        out.print(Text(f"{margin}{signs.down}".rstrip(), "dim"))
        lines = margin + (signs.last if is_last else signs.branch)
        out.print(Text().append(lines, "dim").append(below.title, below.style))  # Text's own style is for all of it
        further = len(margin) < _DEEPEST
        waiting += _draw_lines(out, below, margin + ("    " if is_last else signs.down) * further, signs)
    out.print()


def _draw_lines(out: Paper, node: Node, margin: str, signs: _Signs) -> list[tuple[Node, str, bool]]:
    """What stands below a title; gives what is to be drawn next, the last one first: margins, and whether one is the last."""
    inner = margin + (signs.down if node.below else "    ")
    for name, value, style in node.lines:
        _line(out, inner, name, value, style)
    return [(below, margin, number == 0) for number, below in enumerate(reversed(node.below))]


def _line(out: Paper, margin: str, name: str, value: str, style: str) -> None:
    room = max(min(out.width, WIDEST) - len(margin) - _FIELD, _LEAST)
    values = textwrap.wrap(value, room, break_long_words=False, break_on_hyphens=False) or [""]
    for number, text in enumerate(values):
        head = Text().append(margin, "dim").append(f"{name if number == 0 else '':<{_FIELD}}", "cyan")
        out.print(head.append(text, style))


def marked(out: Paper, passed: bool | None, name: str, text: str) -> None:
    """A finding: good, bad or, for None, open; its name, and what is to be said of it."""
    signs = _signs(out)
    mark, style = {True: (signs.good, "green"), False: (signs.bad, "bold red"), None: (signs.open, "dim")}[passed]
    start = 3 + len(mark) + _FIELD
    room = max(min(out.width, WIDEST) - start, _LEAST)
    values = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    head = Text("  ").append(f"{mark} ", style).append(f"{name:<{_FIELD}}", "cyan")
    out.print(head.append(values[0]))
    for value in values[1:]:
        out.print(" " * start + value)

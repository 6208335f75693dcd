"""The documents, taken apart: their blocks of code, headings and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("*/**/*.md"))
    if not any(part.startswith(".") or part == "node_modules" for part in path.relative_to(ROOT).parts)
)

_FENCE = re.compile(r"^\s*```(\w*)\s*$")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.*?) *#*$")


@dataclass(frozen=True)
class Block:
    """A block of code: its language ("" where none is named), and the line of the page on which it begins."""

    page: Path
    line: int
    language: str
    code: str


def named(page: Path) -> str:
    """A page's name within the project."""
    return page.relative_to(ROOT).as_posix()


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    found, begun = [], None
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if begun is None and fence:
            begun = (number + 1, fence[1], list[str]())
        elif begun is not None and fence:
            found.append(Block(page, begun[0], begun[1], "\n".join(begun[2]) + "\n"))
            begun = None
        elif begun is not None:
            begun[2].append(line)
    assert begun is None, f"{named(page)}: a block of code has no end"
    return tuple(found)


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """The lines outside of blocks, without what stands in backticks; with their numbers."""
    inside = False
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            yield number, re.sub(r"`[^`]*`", "``", line)


def links(page: Path) -> list[tuple[int, str]]:
    """The targets of links, with their lines."""
    return [(number, target) for number, line in prose(page) for target in _LINK.findall(line)]


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of the headings, as GitHub makes them."""
    found: set[str] = set()
    inside = False
    for line in page.read_text("utf-8").splitlines():
        if _FENCE.match(line):
            inside = not inside
        heading = None if inside else _HEADING.match(line)
        if heading:
            found.add(_unique(re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-"), found))
    return frozenset(found)


def _unique(anchor: str, taken: set[str]) -> str:
    names = (anchor if number == 0 else f"{anchor}-{number}" for number in range(len(taken) + 1))
    return next(name for name in names if name not in taken)

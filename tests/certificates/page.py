"""docs/certificate-errors.md: what stands between its marks is what the tests here have found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "certificate-errors.md"


def updating() -> bool:
    """Whether the page is to be written anew."""
    return bool(os.environ.get("UPDATE"))


def part(name: str) -> str:
    """What the page has as its part of this name."""
    return _cut(name)[1]


def compare(name: str, found: str) -> None:
    """Whether the page has ``found`` as this part; UPDATE=1 writes it there."""
    before, documented, after = _cut(name)
    if updating():
        PAGE.write_text(f"{before}\n{found}\n{after}", encoding="utf-8")
        return
    assert documented == f"\n{found}\n", "UPDATE=1 pytest tests/certificates writes it anew"


def _cut(name: str) -> tuple[str, str, str]:
    begin, end = f"<!-- {name}: UPDATE=1 pytest tests/certificates -->\n", f"<!-- end of {name} -->\n"
    before, mark, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    inside, other, after = rest.partition(end)
    assert mark, f"{PAGE.name} has no part {name}"
    assert other, f"the part {name} of {PAGE.name} has no end"
    return before + begin, inside, end + after

"""docs/certificate-errors.md: what stands between its marks is what the tests here have found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "certificate-errors.md"


def compare(part: str, found: str) -> None:
    """Whether the page has ``found`` as its ``part``; UPDATE=1 writes it there."""
    begin, end = f"<!-- {part}: UPDATE=1 pytest tests/certificates -->\n", f"<!-- end of {part} -->\n"
    text = PAGE.read_text(encoding="utf-8")
    before, mark, rest = text.partition(begin)
    documented, other, after = rest.partition(end)
    assert mark, f"{PAGE.name} has no part {part}"
    assert other, f"the part {part} of {PAGE.name} has no end"
    if os.environ.get("UPDATE"):
        PAGE.write_text(before + begin + "\n" + found + "\n" + end + after, encoding="utf-8")
        return
    assert documented == "\n" + found + "\n", "UPDATE=1 pytest tests/certificates writes it anew"

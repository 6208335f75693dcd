"""What the documents say of tests is true."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/**/*.md")])
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
VULNERABILITIES = ROOT / "docs" / "vulnerabilities.md"


@cache
def names_in(path: Path) -> set[str]:
    """The names of the test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return {name for name in functions if name.startswith("test_")}


def missing(text: str) -> list[str]:
    """The tests that a text names and that are not there."""
    return [
        f"{path}::{name}"
        for path, name in NAMED.findall(text)
        if not (ROOT / path).is_file() or name not in names_in(ROOT / path)
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_that_is_named_is_there(document: Path) -> None:
    assert missing(document.read_text(encoding="utf-8")) == []


def test_a_test_that_is_not_there_is_noticed() -> None:
    here = "tests/unit/test_documents.py"
    there = f"`{here}::test_a_test_that_is_not_there_is_noticed`"
    assert missing(f"{there} `{here}::test_gone` `tests/gone.py::test_x`") == [
        f"{here}::test_gone",
        "tests/gone.py::test_x",
    ]


def test_every_vulnerability_has_a_test_that_holds_the_defence() -> None:
    _, *sections = VULNERABILITIES.read_text(encoding="utf-8").split("\n### ")
    assert len(sections) >= 18
    without = [section.splitlines()[0] for section in sections if not NAMED.search(section)]
    assert without == []

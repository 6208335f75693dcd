"""No example without its test, and none that the page does not name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.examples.launch import EXAMPLES

NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))


def test_each_is_run() -> None:
    tested = "".join(Path(__file__).with_name(name).read_text() for name in ("test_clients.py", "test_servers.py"))
    # asgi_app.py is what two of the servers serve.
    assert [name for name in NAMES if f'"{name}"' not in tested] == ["asgi_app.py"]


def test_the_page_names_each() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\]\((\w+\.py)\)", page)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_first_lines_say_what_it_is(name: str) -> None:
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert name == "asgi_app.py" or f"python {name}" in text

"""The house rules that no linter holds."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import handfast

SOURCE = Path(handfast.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

LINES_OF_A_FILE = 600
LINES_OF_A_FUNCTION = 80

COSTLY = ("_cffi_backend", "asyncio", "cryptography", "rich", "socket", "ssl", "typer")


def run(code: str) -> str:
    """What a fresh Python prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_handfast_imports_nothing_costly() -> None:
    loaded = run("import sys; import handfast; print(*sorted({name.partition('.')[0] for name in sys.modules}))")
    assert not set(loaded.split()) & set(COSTLY)
    assert "handfast" in loaded.split()


def test_importing_handfast_imports_no_part_of_it() -> None:
    loaded = run("import sys; import handfast; print(*[name for name in sys.modules if name.startswith('handfast.')])")
    assert loaded == ""


def test_public_names_are_sorted_and_there() -> None:
    capitals_first = sorted(handfast.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert handfast.__all__ == capitals_first
    assert len(set(handfast.__all__)) == len(handfast.__all__)
    for name in handfast.__all__:
        assert getattr(handfast, name) is not None
    assert set(handfast.__all__) <= set(dir(handfast))


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        handfast.no_such_name  # noqa: B018


def test_the_package_is_typed() -> None:
    assert (SOURCE / "py.typed").is_file()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_and_functions_can_be_read_in_one_go(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES_OF_A_FILE
    long = {
        f"{node.name} (line {node.lineno})": node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
        if node.end_lineno - node.lineno + 1 > LINES_OF_A_FUNCTION
    }
    assert not long


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_in_documents_lead_to_files(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
    broken = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not broken


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_in_documents_is_python(path: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        # Inside a function, so that an excerpt may yield.
        ast.parse("def excerpt():\n" + "".join(f"    {line}\n" for line in block.splitlines()))


def test_names_of_handfast_in_the_readme_are_there() -> None:
    names = set(re.findall(r"\bhandfast\.([A-Za-z]\w*)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert names <= {*handfast.__all__, "transport"}  # which has ssl_module: a module that is imported by its path

"""Each link of the documents to a file, and to a heading, leads there; and two pages do not say different numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, links, named


def dead(page: Path) -> list[str]:
    """The links of a page that lead nowhere. Those to other places of the net are not followed."""
    found = []
    for line, target in links(page):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists():
            found.append(f"{named(page)}:{line}: {target}: there is no such file")
        elif anchor and (there.suffix != ".md" or anchor not in anchors(there)):
            found.append(f"{named(page)}:{line}: {target}: there is no such heading")
    return found


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert dead(page) == []


def test_a_dead_link_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.docs.pages.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# A `b`: c, d!\n\n[x](gone.md) [y](#nowhere) [z](#a-b-c-d) [w](page.md#a-b-c-d) `[v](no.md)`\n")
    assert [line.split(": ")[1] for line in dead(page)] == ["gone.md", "#nowhere"]


def test_every_document_is_in_the_index() -> None:
    index = {(ROOT / "docs" / target.partition("#")[0]).resolve() for _, target in links(ROOT / "docs" / "README.md")}
    documents = {path for path in (ROOT / "docs").glob("*.md") if path.name != "README.md"}
    assert documents <= index


def test_the_readme_counts_cpythons_tests_as_their_page_does() -> None:
    page = (ROOT / "docs" / "cpython-test-ssl.md").read_text("utf-8")
    found = re.search(r"these are (\d+) tests\. (\d+) are skipped", page)
    assert found is not None
    can_run = int(found[1]) - int(found[2])
    fail = len(re.findall(r"^- `\w+\.\w+`$", page, re.MULTILINE))
    assert f"{can_run - fail} of the {can_run} tests of CPython's `test_ssl`" in (ROOT / "README.md").read_text("utf-8")


def test_the_changelog_counts_bogos_tests_as_their_page_does() -> None:
    page = (ROOT / "docs" / "conformance.md").read_text("utf-8")
    row = re.search(r"^\| \*\*all\*\* \| ([\d,]+) \| ([\d,]+) \|.* ([\d,]+) \|$", page, re.MULTILINE)
    assert row is not None
    text = f"{row[1]} of {row[3]} pass, {'none fails' if row[2] == '0' else row[2] + ' fail'}"
    assert text in (ROOT / "CHANGELOG.md").read_text("utf-8")

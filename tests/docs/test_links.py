"""Each link of the documents to a file, and to a heading, leads there."""

from __future__ import annotations

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

"""What a path names, for `handfast serve --www`: files and lists of one folder, and nothing outside of it."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from handfast.errors import shown


@dataclass(frozen=True)
class Page:
    """Text that is made for this request."""

    text: str
    kind: str = "text/plain"


@dataclass(frozen=True)
class Moved:
    """Another path, which is the right one."""

    path: str


Content = Page | Path | Moved | None
"""What a path names: something made, a file, another path, or nothing (404)."""


def folder(root: Path) -> Callable[[str, str], Content]:
    """What a path names in a folder: a file or a list inside of it, never what a link or ".." leads out to.

    What is returned takes who the client is, which a list shows ("" to leave that out), and the path.
    """
    top = root.resolve()

    def find(visitor: str, target: str) -> Content:
        try:
            path = urlsplit(target).path
        except ValueError:  # a URL with half an IPv6 address, say
            return None
        parts = [part for part in unquote(path).split("/") if part]
        if any(part.startswith(".") and part != ".well-known" for part in parts):
            return None  # "..", and what is hidden: .git and .env are nobody's business
        try:
            found = top.joinpath(*parts).resolve(strict=True)  # follows links; one within the folder is fine
        except (OSError, ValueError, RuntimeError):
            return None
        if found.is_dir() and found.is_relative_to(top):
            if parts and not path.endswith("/"):
                return Moved("/" + "/".join(map(quote, parts)) + "/")  # links of the page are relative to it
            index = (found / "index.html").resolve()
            found = index if index.is_file() else found
        if not found.is_relative_to(top):
            return None
        return found if found.is_file() else _index(found, top, parts, visitor) if found.is_dir() else None

    return find


def _index(place: Path, top: Path, parts: list[str], visitor: str) -> Page | None:
    """The list of a folder, without hidden names and without what leads out of it."""
    try:
        entries = sorted(place.iterdir())
    except OSError:
        return None
    items = []
    for entry in entries:
        inside = entry.resolve().is_relative_to(top)
        if inside and not entry.name.startswith("."):
            name = entry.name + ("/" if entry.is_dir() else "")
            # "./" keeps a name with a colon from being a scheme
            items.append(f'<li><a href="./{html.escape(quote(name))}">{html.escape(shown(name))}</a></li>')
    title = html.escape(shown("/" + "/".join(parts)))
    text = f"<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1>\n<ul>\n"
    who = f"<p>{html.escape(shown(visitor))}</p>\n" if visitor else ""
    return Page(text + "\n".join(items) + "\n</ul>\n" + who, "text/html")

"""How `handfast cert show` draws requests for certificates (CSR), and what comes of them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from handfast.authority.asked import RequestFacts, request_facts
from handfast.cli.lines import paragraph
from handfast.cli.tree import Node, draw, marked
from handfast.errors import shown
from handfast.observe.phrases import count

if TYPE_CHECKING:
    from handfast.cli.cert_key import Belonging
    from handfast.cli.cert_source import Source
    from handfast.cli.streams import Paper

_NAMES: Final = 12  # that are shown, before the rest is only counted
_BAD: Final = "bold red"


def shown_requests(out: Paper, source: Source, whose: Belonging | None = None) -> None:
    """All requests, and what to do with them; and ``whose`` the given key is."""
    what = count(len(source.requests), "request for a certificate", "requests for certificates")
    paragraph(out, f"{what} in {shown(source.name)}", 0)
    out.print()
    found = [request_facts(asked) for asked in source.requests]
    for about in found:
        title = shown(about.subject) or shown(", ".join(about.names[:3])) or "(a request without any name)"
        draw(out, Node(title, _lines(about)))
    if whose is not None:
        marked(out, whose.fits, "key", str(whose))
        out.print()
    paragraph(out, _next(found, source), 0)


def _lines(about: RequestFacts) -> list[tuple[str, str, str]]:
    lines = []
    if about.names:
        more = f" and {len(about.names) - _NAMES} more" if len(about.names) > _NAMES else ""
        lines.append(("names", ", ".join(map(shown, about.names[:_NAMES])) + more, ""))
    weak = "" if about.weakness is None else f", too weak: {about.weakness}"
    lines.append(("key", f"{shown(about.key)}{weak}", _BAD if weak else ""))
    lines.append(("signed", *_signed(about)))
    for extension in about.extensions:
        told = f": {shown(extension.value)}" if extension.value else ""
        critical = ", critical" if extension.critical else ""
        lines.append(("asks for", f"{shown(extension.name)}{critical}{told}", ""))
    lines.append(("of its key", about.key_sha256, ""))
    return lines


def _signed(about: RequestFacts) -> tuple[str, str]:
    how = shown(about.signature)
    if about.is_signed is None:
        return f"in a way that is not known here: {how}", "yellow"
    return (f"by this key: {how}", "") if about.is_signed else (f"not by this key, so it proves nothing: {how}", _BAD)


def _next(found: list[RequestFacts], source: Source) -> str:
    """What to do with it. Nothing that a request says stands in a command that people may copy."""
    if len(found) > 1:
        return "handfast ca sign FILE NAME makes a certificate of a request that is alone in its file."
    about = found[0]
    if not about.is_signed:
        return "handfast ca sign refuses it: have it made anew, by whoever has the key."
    if about.weakness is not None:
        return "handfast ca sign refuses it: have it made anew, with a stronger key."
    file = "-" if source.kind == "stdin" else shlex.quote(shown(source.name))
    return f"handfast ca sign {file} NAME makes a certificate of it: for the names that you say, and with no extension of it."


def document(source: Source) -> list[dict[str, Any]]:
    """For the JSON object."""
    return [_document(request_facts(asked)) for asked in source.requests]


def _document(about: RequestFacts) -> dict[str, Any]:
    return {
        "subject": shown(about.subject),
        "names": [shown(name) for name in about.names],
        "key": shown(about.key),
        "key_sha256": about.key_sha256,
        "weakness": about.weakness,
        "signature": shown(about.signature),
        "signed": about.is_signed,
        "extensions": [
            {"name": shown(item.name), "critical": item.critical, "value": shown(item.value)}
            for item in about.extensions
        ],
    }

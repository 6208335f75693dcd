"""What was tried with whom: the table at the end of a run, and the tables of docs/interop.md.

``python -m tests.interop.report`` writes docs/interop.md anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.interop.peer import Peer

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "interop.md"
_BEGIN, _END = "<!-- tables: python -m tests.interop.report -->\n", "<!-- end of tables -->\n"
ROLES: Final = ("server", "client")

# --- the end of a run ----------------------------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A row for each peer and role: its version, how much was tried, and what did not work."""
    rows: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, values in getattr(report, "user_properties", ()):
                if name == "interop":
                    peer, version, role, axis, value = values
                    rows.setdefault((version or peer, role), []).append((axis, value, outcome))
    if not rows:
        return
    terminalreporter.section("interop: peers that nobody here wrote")
    width = max(len(version) for version, _ in rows)
    terminalreporter.line(f"{'peer':<{width}}  its role  suites  groups  keys  features")
    for (version, role), tries in sorted(rows.items()):
        counts = [len({value for axis, value, _ in tries if axis == wanted}) for wanted in _AXES]
        outcomes = {outcome for _, _, outcome in tries}
        missed = sorted({f"{value}: {outcome}" for _, value, outcome in tries if outcome != "passed"})
        result = "; ".join(missed) if len(outcomes) > 1 else f"all {outcomes.pop()}"
        numbers = "  ".join(f"{count:>{len(axis)}}" for axis, count in zip(_AXES, counts, strict=True))
        terminalreporter.line(f"{version:<{width}}  {role:<8}  {numbers}  {result}")


_AXES: Final = ("suites", "groups", "keys", "features")

# --- the document --------------------------------------------------------------------------------------------------------


def tables(versions: dict[str, str]) -> str:
    """What the tests try, as Markdown. ``versions``: by the peers' names."""
    from tests.interop.matrix import PEERS
    from tests.interop.peer import FEATURES

    columns = [(peer, role) for role in ROLES for peer in PEERS if peer.abilities(role)]
    lines = ["| peer | its role | cipher suites | groups | keys of certificates |", "|---|---|---|---|---|"]
    for peer, role in columns:
        abilities = peer.abilities(role)
        assert abilities is not None
        cells = [", ".join(_short(value) for value in getattr(abilities, axis)) for axis in _AXES[:3]]
        lines.append(f"| {versions[peer.name]} | {role} | {' | '.join(cells)} |")
    for role in ROLES:
        there = [peer for peer, its in columns if its == role]
        lines += ["", f"With the peer as {role}:", "", f"| | {' | '.join(peer.name for peer in there)} |"]
        lines += [f"|---|{'---|' * len(there)}"]
        for feature in FEATURES:
            marks = [_mark(peer, role, feature) for peer in there]
            if any(marks):
                lines.append(f"| {feature} | {' | '.join(marks)} |")
    lines += ["", *(f"- **{feature}**: {sentence}" for feature, sentence in FEATURES.items())]
    return "\n".join(lines) + "\n"


def _short(value: str) -> str:
    return value.removeprefix("TLS_").removesuffix("_SHA256").removesuffix("_SHA384")


def _mark(peer: Peer, role: str, feature: str) -> str:
    abilities = peer.abilities(role)
    return "x" if abilities and feature in abilities.features else ""


def split(text: str) -> tuple[str, str, str]:
    """The document before its tables, the tables, and what follows."""
    before, found, rest = text.partition(_BEGIN)
    inside, end, after = rest.partition(_END)
    assert found, "docs/interop.md has lost the marks of its tables"
    assert end, "docs/interop.md has lost the marks of its tables"
    return before, inside, after


def versions_in(inside: str) -> dict[str, str]:
    """The versions that the document names, by peer."""
    from tests.interop.matrix import PEERS

    written = re.findall(r"^\| (.+?) \| (?:server|client) \|", inside, re.MULTILINE)
    shown = [(peer, role) for role in ROLES for peer in PEERS if peer.abilities(role)]
    return {peer.name: version for (peer, _), version in zip(shown, written, strict=True)}


def main() -> None:
    from tests.interop.matrix import PEERS

    before, _, after = split(DOCUMENT.read_text(encoding="utf-8"))
    inside = tables({peer.name: peer.version() for peer in PEERS})
    DOCUMENT.write_text(before + _BEGIN + inside + _END + after, encoding="utf-8")


if __name__ == "__main__":
    main()

"""What was tried with whom: the table at the end of a run, and the tables of docs/interop.md.

``python -m tests.interop.report`` writes docs/interop.md anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.interop.features import Abilities
    from tests.interop.peer import Peer

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "interop.md"
_BEGIN, _END = "<!-- tables: python -m tests.interop.report -->\n", "<!-- end of tables -->\n"
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
    terminalreporter.line(f"{'peer':<{width}}  its role  {'  '.join(_AXES)}")
    for (version, role), tries in sorted(rows.items()):
        counts = [len({value for axis, value, _ in tries if axis == wanted}) for wanted in _AXES]
        outcomes = {outcome for _, _, outcome in tries}
        missed = sorted({f"{value}: {outcome}" for _, value, outcome in tries if outcome != "passed"})
        result = "; ".join(missed) if len(outcomes) > 1 else f"all {outcomes.pop()}"
        numbers = "  ".join(f"{count:>{len(axis)}}" for axis, count in zip(_AXES, counts, strict=True))
        terminalreporter.line(f"{version:<{width}}  {role:<8}  {numbers}  {result}")


_AXES: Final = ("suites", "groups", "keys", "client_keys", "features")

# --- the document --------------------------------------------------------------------------------------------------------


def tables(versions: dict[str, str]) -> str:
    """What the tests try, as Markdown. ``versions``: by the peers' names."""
    from tests.interop.credentials import KEYS
    from tests.interop.features import ALL_GROUPS, ALL_SUITES, ROLES
    from tests.interop.matrix import PEERS

    lines = ["| peer | version | its roles | what it is |", "|---|---|---|---|"]
    for peer in PEERS:
        roles = ", ".join(role for role in ROLES if peer.abilities(role))
        lines.append(f"| {peer} | {versions[peer.name]} | {roles} | {peer.who} |")
    for axis, title, values in (
        ("suites", "cipher suite", ALL_SUITES),
        ("groups", "group", ALL_GROUPS),
        ("keys", "key of the server's certificate", tuple(KEYS)),
        ("client_keys", "key of the client's certificate", tuple(KEYS)),
    ):
        lines += ["", *_values(axis, title, values)]
    for role, other in zip(ROLES, reversed(ROLES), strict=True):
        lines += ["", f"### The peer is the {role}, handfast the {other}", "", *_features(role)]
    return "\n".join([*lines, "", "### What is left out, and why", "", *_reasons()]) + "\n"


def _there(role: str) -> list[tuple[Peer, Abilities]]:
    from tests.interop.matrix import PEERS

    return [(peer, abilities) for peer in PEERS if (abilities := peer.abilities(role))]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _values(axis: str, title: str, values: Sequence[str]) -> list[str]:
    """A row for each value that some peer has, and a column for each peer: in which role."""
    from tests.interop.features import ROLES
    from tests.interop.matrix import PEERS

    lines = [_row(title, *map(repr, PEERS)), "|---" * (len(PEERS) + 1) + "|"]
    for value in values:
        cells = []
        for peer in PEERS:
            having = [role for role in ROLES if (its := peer.abilities(role)) and value in getattr(its, axis)]
            cells.append("both" if having == list(ROLES) else "".join(having))
        if any(cells):
            lines.append(_row(value, *cells))
    return lines


def _features(role: str) -> list[str]:
    from tests.interop.features import FEATURES

    peers = [peer.name for peer, _ in _there(role)]
    lines = [_row("feature", *peers, "what has to come of it"), "|---" * (len(peers) + 2) + "|"]
    for name, feature in FEATURES.items():
        if role in feature.roles:
            marks = ["yes" if abilities.has(name) else "" for _, abilities in _there(role)]
            lines.append(_row(name, *marks, feature.sentence))
    return lines


def _reasons() -> list[str]:
    """The features that peers lack, by the reasons."""
    from tests.interop.features import ROLES

    lacks: dict[tuple[str, str], dict[str, list[str]]] = {}
    for role in ROLES:
        for peer, abilities in _there(role):
            for name, why in abilities.lacks.items():
                lacks.setdefault((peer.name, why), {}).setdefault(name, []).append(role)
    lines = []
    for (peer, why), names in sorted(lacks.items()):
        words = [name if len(roles) == 2 else f"{name} (as {roles[0]})" for name, roles in names.items()]
        lines.append(f"- **{peer}**: {', '.join(words)}: {why}")
    return lines


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

    written = dict(re.findall(r"^\| (\w+) \| (.+?) \| (?:server|client)", inside, re.MULTILINE))
    return {peer.name: written.get(peer.name, "?") for peer in PEERS}


def main() -> None:
    from tests.interop.matrix import PEERS

    before, _, after = split(DOCUMENT.read_text(encoding="utf-8"))
    inside = tables({peer.name: peer.version() for peer in PEERS})
    DOCUMENT.write_text(before + _BEGIN + inside + _END + after, encoding="utf-8")


if __name__ == "__main__":
    main()

"""What was tried with whom: the table at the end of a run, and the tables of docs/interop.md.

``python -m tests.interop.report`` writes docs/interop.md anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "interop.md"
_BEGIN, _END = "<!-- tables: python -m tests.interop.report -->\n", "<!-- end of tables -->\n"
# --- the end of a run ----------------------------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A row for each peer, role and version of TLS: how much was tried, and what did not work."""
    rows: dict[tuple[str, str, str], list[tuple[str, str, str]]] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, values in getattr(report, "user_properties", ()):
                if name == "interop":
                    peer, version, role, of_tls, axis, value = values
                    rows.setdefault((version or peer, role, of_tls), []).append((axis, value, outcome))
    if not rows:
        return
    terminalreporter.section("interop: peers that nobody here wrote")
    width = max(len(version) for version, _, _ in rows)
    terminalreporter.line(f"{'peer':<{width}}  its role  TLS          {'  '.join(_AXES)}")
    for (version, role, of_tls), tries in sorted(rows.items()):
        counts = [len({value for axis, value, _ in tries if axis == wanted}) for wanted in _AXES]
        outcomes = {outcome for _, _, outcome in tries}
        missed = sorted({f"{value}: {outcome}" for _, value, outcome in tries if outcome != "passed"})
        result = "; ".join(missed) if len(outcomes) > 1 else f"all {outcomes.pop()}"
        numbers = "  ".join(f"{count:>{len(axis)}}" for axis, count in zip(_AXES, counts, strict=True))
        terminalreporter.line(f"{version:<{width}}  {role:<8}  {of_tls:<11}  {numbers}  {result}")


_AXES: Final = ("suites", "groups", "keys", "client_keys", "features")

# --- the document --------------------------------------------------------------------------------------------------------


def tables(versions: dict[str, str]) -> str:
    """What the tests try, as Markdown. ``versions``: by the peers' names."""
    from tests.interop.credentials import KEYS
    from tests.interop.features import ALL_GROUPS, ALL_SUITES, ALL_SUITES_12, ROLES, VERSIONS
    from tests.interop.matrix import PEERS

    lines = [_row("peer", "version", "its roles", "TLS", "what it is"), "|---|---|---|---|---|"]
    for peer in PEERS:
        roles = [role for role in ROLES if peer.abilities(role)]
        spoken = [version for version in VERSIONS if peer.abilities(roles[0], version)]
        lines.append(_row(repr(peer), versions[peer.name], ", ".join(roles), ", ".join(spoken), peer.who))
    lines += ["", "### Which version it is", "", *_meetings(), "", "### What is negotiated", ""]
    for axis, title, values in (
        ("suites", "cipher suite", (*ALL_SUITES, *ALL_SUITES_12)),
        ("groups", "group", ALL_GROUPS),
        ("keys", "key of the server's certificate", tuple(KEYS)),
        ("client_keys", "key of the client's certificate", tuple(KEYS)),
    ):
        lines += [*_values(axis, title, values), ""]
    for role, other in zip(ROLES, reversed(ROLES), strict=True):
        lines += [f"### The peer is the {role}, handfast the {other}", "", *_features(role), ""]
    return "\n".join([*lines, "### What is left out, and why", "", *_reasons()]) + "\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _roles(having: Sequence[str]) -> str:
    return "both" if len(having) == 2 else "".join(having)


def _joined(title: str, rows: dict[str, list[str]]) -> list[str]:
    """A value's rows, one for each version: one for both where they are the same, none where nobody has it."""
    lines: dict[tuple[str, ...], list[str]] = {}
    for version, cells in rows.items():
        if any(cells):
            lines.setdefault(tuple(cells), []).append(version)
    return [_row(title, ", ".join(versions), *cells) for cells, versions in lines.items()]


def _values(axis: str, title: str, values: Sequence[str]) -> list[str]:
    """Rows for each value that some peer has, and a column for each peer: in which role."""
    from tests.interop.features import ROLES, VERSIONS
    from tests.interop.matrix import PEERS

    lines = [_row(title, "TLS", *map(repr, PEERS)), "|---" * (len(PEERS) + 2) + "|"]
    for value in values:
        rows = {}
        for version in VERSIONS:
            having = [
                [r for r in ROLES if (its := p.abilities(r, version)) and value in getattr(its, axis)] for p in PEERS
            ]
            rows[version] = [_roles(roles) for roles in having]
        lines += _joined(value, rows)
    return lines


def _meetings() -> list[str]:
    """A row for each way in which the versions meet, and a column for each peer: in which role it was tried."""
    from tests.interop.features import FEATURES, MEETING
    from tests.interop.matrix import PEERS

    lines = [_row("who knows what", "what has to come of it", *map(repr, PEERS)), "|---" * (len(PEERS) + 2) + "|"]
    for name, feature in FEATURES.items():
        if MEETING in feature.versions:
            having = [
                [role for role in feature.roles if (its := peer.abilities(role, MEETING)) and its.has(name)]
                for peer in PEERS
            ]
            lines.append(_row(name, feature.sentence, *map(_roles, having)))
    return lines


def _features(role: str) -> list[str]:
    from tests.interop.features import FEATURES, MEETING
    from tests.interop.matrix import PEERS

    peers = [peer for peer in PEERS if peer.abilities(role)]
    lines = [_row("feature", "TLS", *map(repr, peers), "what has to come of it"), "|---" * (len(peers) + 3) + "|"]
    for name, feature in FEATURES.items():
        if role in feature.roles and MEETING not in feature.versions:
            rows = {}
            for version in feature.versions:
                having = [(its := peer.abilities(role, version)) is not None and its.has(name) for peer in peers]
                rows[version] = [*("yes" if has else "" for has in having)]
            lines += [f"{line[:-1]}| {feature.sentence} |" for line in _joined(name, rows)]
    return lines


def _reasons() -> list[str]:
    """The features that peers lack, by the reasons."""
    from tests.interop.features import FEATURES, MEETING, ROLES
    from tests.interop.matrix import PEERS

    lacks: dict[tuple[str, str], dict[str, dict[str, list[str]]]] = {}
    for peer in PEERS:
        for role in ROLES:
            for name, feature in FEATURES.items():
                for version in feature.versions if role in feature.roles else ():
                    why = its.lacks.get(name) if (its := peer.abilities(role, version)) else None
                    if why is not None:
                        lacks.setdefault((peer.name, why), {}).setdefault(name, {}).setdefault(role, []).append(version)
    lines = []
    for (peer_name, why), names in sorted(lacks.items()):
        words = []
        for name, roles in names.items():
            limits = [] if len(roles) == 2 else [f"as {role}" for role in roles]
            versions = {version for those in roles.values() for version in those} - {MEETING}
            limits += [f"TLS {version}" for version in versions if len(FEATURES[name].versions) == 2 > len(versions)]
            words.append(f"{name} ({', '.join(limits)})" if limits else name)
        lines.append(f"- **{peer_name}**: {', '.join(words)}: {why}")
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

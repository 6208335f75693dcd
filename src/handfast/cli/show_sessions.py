"""Text about coming back: what a resumed handshake stands on, what early data risks, and what each connection took."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from handfast.cli.lines import row
from handfast.cli.sessions import Early, Visit
from handfast.cli.streams import Paper
from handfast.errors import shown
from handfast.events import Handshake
from handfast.observe.phrases import count
from handfast.wire.codepoints import ProtocolVersion

if TYPE_CHECKING:
    from handfast.cli import visit

TOLD: Final = 2  # connections that are told message by message: a full one, and one that comes back

_TLS12: Final = ProtocolVersion.name(ProtocolVersion.TLS_1_2)
_FRESH: Final = "{group} made keys that the session does not know: who gets the session's key later cannot read this"
_AS_THE_TICKET: Final = (
    "all keys come from the session's: who gets the key that the server seals its tickets with reads this, and the "
    "connection that the session is from"
)
_AS_THE_CACHE: Final = (
    "all keys come from the session's: who gets at what the server has kept of it reads this, and the connection that the "
    "session is from"
)
_KEY_ALONE: Final = "all keys come from the session's: who gets that reads this"


def resumption(out: Paper, visit: Visit, facts: Handshake) -> None:
    """Whether it was resumed, what that stands on, and what is left of forward secrecy; or why it was not."""
    if not facts.resumed:
        row(out, "resumed", "no, a full handshake", visit.why_full(facts))
        return
    meaning = "no certificate was sent: both sides have shown that they have the session's key, which is in no message"
    row(out, "resumed", f"yes, a session {ago(visit.age)} old", meaning)
    if facts.version != _TLS12 and facts.group is not None:
        row(out, "later", "forward secrecy is kept", _FRESH.format(group=facts.group))
    elif facts.version != _TLS12:
        row(out, "later", "no forward secrecy", _KEY_ALONE)
    else:
        sealed = visit.session is not None and visit.session.ticket
        row(out, "later", "no forward secrecy of its own", _AS_THE_TICKET if sealed else _AS_THE_CACHE)


def vouching(out: Paper) -> None:
    """Who says that the server of a resumed handshake is who it was."""
    meaning = (
        "who has it is the one that proved to be this server, or somebody it gave the key. Name, roots, rules and validity "
        "are the same; whether the certificate was revoked since, nobody has asked"
    )
    row(out, "  proof now", "the session's key", meaning)


def early_data(out: Paper, early: Early) -> None:
    """What came of --early-data."""
    size = count(early.size, "byte")
    if early.outcome == "accepted":
        meaning = (
            "they arrived with the hello, a round trip earlier. The session's key alone seals them: no forward secrecy, and "
            "whoever has recorded them can send them again"
        )
        row(out, "early data", f"accepted, {size}", meaning)
    else:
        again = ", sent again after the handshake" if early.outcome == "rejected" else ", sent after the handshake"
        how = "refused" if early.outcome == "rejected" else "not sent early"
        row(out, "early data", f"{how}, {size}{again if early.sent_again else ''}", early.why)
    if early.waited is not None:
        row(out, "  answer", count(early.answer, "byte"), f"the first after {early.waited * 1_000:.1f} ms")
    else:
        row(out, "  answer", "none")


def received(out: Paper, visit: Visit, path: Path | None, version: str, *, kept: bool = True) -> None:
    """What there is to come back with next time. ``kept``: whether the file took all of it."""
    where = f"in {shown(path)}" if path is not None else "for this run"
    if not visit.received:
        if version == _TLS12 and visit.offered:
            row(out, "next time", "the same session", where)
        else:
            row(out, "next time", "nothing", "the server has given no session to come back with")
        return
    newest = visit.received[-1]
    size = newest.max_early_data
    early = f", with up to {count(size, 'byte')} of early data" if size else ""
    once = "; each is good for once" if version != _TLS12 else ""
    life = f" for {ago(visit.lifetime or 0)}" if visit.lifetime else ""
    row(
        out,
        "next time",
        f"{count(len(visit.received), 'session')}{life}{early}",
        f"kept {where}{once}" if kept else f"not all kept {where}: see the warning",
    )


def connections(out: Paper, visits: Sequence[visit.Visit]) -> None:
    """A line a connection: how long it took, and whether it was resumed."""
    early = any(each.early is not None for each in visits)
    out.print(f"{'':>4}  {'TCP':>10}  {'handshake':>10}  {'sent':>8}  {'received':>8}  resumed")
    for each in visits:
        facts = each.facts
        if facts is None:
            continue
        columns = f"{_ms(each.tcp_seconds or 0)}  {_ms(facts.timings.handshake)}"
        traffic = f"{each.trace.sent.bytes:>8,}  {each.trace.received.bytes:>8,}"
        data = f", early data {each.early.outcome}" if early and each.early is not None else ""
        out.print(f"{each.number:>4}  {columns}  {traffic}  {'yes' if facts.resumed else 'no'}{data}")
    again = [each for each in visits[1:] if each.facts is not None]
    refused = [each for each in again if each.facts is not None and not each.facts.resumed]
    reasons = dict.fromkeys(each.session.why_full(each.facts) for each in refused if each.facts is not None)
    for why in reasons:
        row(out, "", "not resumed", why)
    out.print()


def _ms(seconds: float) -> str:
    return f"{seconds * 1_000:>7.1f} ms"


def ago(seconds: float) -> str:
    """A span of time, in the largest unit of which there are two or more."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= 2 * size:
            return count(int(seconds // size), unit)
    return f"{seconds:.1f} seconds" if seconds < 10 and seconds != int(seconds) else count(int(seconds), "second")

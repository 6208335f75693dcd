"""How `handfast cert` draws certificates: a tree from the root down, then checks, then what each trust store says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.text import Text

from handfast.certificates.facts import Facts, facts
from handfast.certificates.lineage import issuers_of, rooted
from handfast.certificates.parsed import parsed
from handfast.cli.lines import days_left, left, moment, paragraph, span
from handfast.cli.show import not_needed
from handfast.cli.streams import Paper
from handfast.cli.tree import Node, draw, marked
from handfast.errors import CertificateError, shown
from handfast.observe.phrases import count

if TYPE_CHECKING:
    from handfast.certificates.examined import Verdict
    from handfast.cli.cert_key import Belonging
    from handfast.cli.cert_run import StoreVerdict, Verified
    from handfast.cli.cert_source import Source

_NAMES: Final = 12  # that are shown, before the rest is only counted
_SOON: Final = 14  # days before the end from which the end is the news


def title(about: Facts) -> str:
    """Whose certificate it is, on one line."""
    names = [name.partition(":")[2] for name in about.names]
    return shown(about.subject) or shown(", ".join(names[:3])) or "(a certificate without any name)"


def _between(until: datetime, now: datetime) -> str:
    return span((until - now).total_seconds())


def validity(about: Facts, now: datetime) -> tuple[str, str]:
    """From when to when, and how many days that leaves; and a style."""
    dates = f"{about.not_before:%Y-%m-%d} to {moment(about.not_after, now)}"
    if now > about.not_after:
        return f"{dates}, expired {_between(now, about.not_after)} ago", "bold red"
    if now < about.not_before:
        return f"{dates}, begins in {_between(about.not_before, now)}", "bold red"
    style = "yellow" if days_left(about.not_after, now) < _SOON and not about.is_authority else ""
    return f"{dates}, {left(about.not_after, now)}", style


def _names(about: Facts) -> str:
    more = f" and {len(about.names) - _NAMES} more" if len(about.names) > _NAMES else ""
    return ", ".join(map(shown, about.names[:_NAMES])) + more


def _use(about: Facts) -> str:
    parts = []
    if about.is_authority:
        parts.append(f"authority{_depth(about.path_length)}")
    if about.key_usage is not None:
        parts.append(" ".join(about.key_usage) or "for nothing")
    if about.extended_usage is not None:
        parts.append(" ".join(map(shown, about.extended_usage)))
    return "; ".join(parts)


def _depth(limit: int | None) -> str:
    if limit is None:
        return ""
    return (
        f", with {count(limit, 'authority', 'authorities')} below it at most" if limit else ", with no other below it"
    )


def _short(about: Facts, now: datetime) -> list[tuple[str, str, str]]:
    """What everybody wants to know of a certificate."""
    lines = []
    if about.names:
        lines.append(("names", _names(about), ""))
    lines.append(("valid", *validity(about, now)))
    lines.append(("key", about.key, ""))
    lines.append(("signed", "by itself" if about.self_issued else f"by {about.signature}", ""))
    return lines


def _long(about: Facts, now: datetime) -> list[tuple[str, str, str]]:
    """All that is in it."""
    lines = _short(about, now)
    for name, value in (
        ("use", _use(about)),
        ("limits", ", ".join(map(shown, about.constraints))),
        ("policy", about.validation or ""),
        ("issuer at", ", ".join(map(shown, about.issuers))),
        ("OCSP", ", ".join(map(shown, about.ocsp))),
        ("CRL", ", ".join(map(shown, about.crls))),
        ("serial", about.serial),
        ("SHA-256", about.sha256),
        ("of its key", about.key_sha256),
    ):
        if value:
            lines.append((name, value, ""))
    return lines


# --- cert show ----------------------------------------------------------------------------------------------------------------


def shown_chain(out: Paper, source: Source, whose: Belonging | None = None) -> None:
    """All the certificates, each below the one that has issued it as far as names tell; and ``whose`` the given key is."""
    now = datetime.now(UTC)
    _head(out, source)
    chain = tuple(dict.fromkeys(source.chain))
    ordinals = _ordinals(source)
    nodes = {der: _node(der, ordinals[der] if len(source.chain) > 1 else "", now) for der in chain}
    issuers = issuers_of(chain)
    in_a_tree = rooted(issuers)
    tops: list[bytes] = []
    for der, issuer in issuers.items():
        if issuer is None or der not in in_a_tree:
            tops.append(der)
        else:
            nodes[issuer].below.append(nodes[der])
    for der in tops:
        top = nodes[der]
        if not parsed(der).self_issued:
            top.lines.insert(0, ("issued by", f"{shown(parsed(der).issuer)}, which is not here", ""))
        draw(out, top)
    if whose is not None:
        marked(out, whose.fits, "key", str(whose))


def _node(der: bytes, ordinal: str, now: datetime) -> Node:
    about = facts(der)
    where = [("found", ordinal, "")] if ordinal else []
    return Node(title(about), [*where, *_long(about, now)])


def _head(out: Paper, source: Source) -> None:
    certificates = count(len(source.chain), "certificate")
    if source.kind == "host":
        version = f" in {source.version}" if source.version else ""
        paragraph(out, f"{shown(source.name)} sent {certificates}{version}", 0)
        if source.failure is not None:
            text = f"Then the handshake failed: {source.failure.reason.sentence}"
            paragraph(out, text, 0, "yellow")
    else:
        paragraph(out, f"{certificates} in {shown(source.name)}", 0)
        if source.cut:
            paragraph(
                out, "The file is cut: its last certificate begins and does not end, and is left out.", 0, "yellow"
            )
    out.print()


def _ordinals(source: Source) -> dict[bytes, str]:
    """Which of those that came each is. One that came twice is drawn once."""
    found: dict[bytes, list[str]] = {}
    for number, der in enumerate(source.chain, 1):
        found.setdefault(der, []).append(str(number))
    where = "sent by the server" if source.kind == "host" else f"in {shown(source.name)}"
    ordinals = {}
    for der, (first, *others) in found.items():
        again = f", and again as {', '.join(others)}" if others else ""
        ordinals[der] = f"{where}, {first} of {len(source.chain)}{again}"
    return ordinals


# --- cert verify --------------------------------------------------------------------------------------------------------------


def verified(out: Paper, source: Source, result: Verified) -> None:
    """The path with where each certificate was found, the checks, the trust stores, and the verdict."""
    _head(out, source)
    seen = result.examination
    if seen is None:
        return
    draw(out, _path(source, result))
    not_needed(out, seen.surplus)
    if seen.surplus:
        out.print()
    if result.completion is not None and result.completion.attempts:
        _fetched(out, result)
    out.print(Text("checks", "bold"))
    for verdict in seen.verdicts:
        _checked(out, verdict, result)
    if result.belonging is not None:
        marked(out, result.belonging.fits, "key", str(result.belonging))
    out.print()
    out.print(Text("trust stores", "bold"))
    for says in result.stores:
        _store(out, says)
    out.print()
    if result.identity is not None:
        _accepted(out, result)
    else:
        paragraph(out, "refused", 0, "bold red")


def _accepted(out: Paper, result: Verified) -> None:
    assert result.identity is not None
    path = [parsed(der) for der in result.identity.path]
    until = min(certificate.not_after for certificate in path)
    by_id = any(verdict.check == "spiffe" for verdict in result.examination.verdicts) if result.examination else False
    name = result.identity.uris[0] if by_id else result.name
    whose = shown(name) if name else shown(path[0].subject or path[0].alternative_names)
    what = f"is that of {whose}" if name else f"is that of a {result.purpose}, {whose}"
    ends = f"until {moment(until, result.now)} ({left(until, result.now)})"
    if result.belonging is None or result.belonging.fits:
        paragraph(out, f"accepted: the chain {what}, {ends}", 0, "bold green")
    else:
        paragraph(out, f"refused: the chain {what}, {ends}, and the key is another one's", 0, "bold red")


def _path(source: Source, result: Verified) -> Node:
    seen = result.examination
    assert seen is not None
    top: Node | None = None
    lowest: Node | None = None
    if not seen.anchored:
        top = lowest = _missing(source, result)
    for index in range(len(seen.path) - 1, -1, -1):
        der = seen.path[index]
        about = facts(der)
        failed = [
            (verdict.check, verdict.error.reason.sentence, "bold red")
            for verdict in seen.verdicts
            if verdict.error is not None and verdict.error.certificate == der
        ]
        validation = [("policy", about.validation, "")] if index == 0 and about.validation else []
        node = Node(
            title(about),
            [("found", _found(der, index, source, result), ""), *_short(about, result.now), *validation, *failed],
            style="bold red" if failed else "bold",
        )
        if lowest is not None:
            lowest.below.append(node)
        top, lowest = top or node, node
    assert top is not None, "a path has a certificate"
    return top


def _missing(source: Source, result: Verified) -> Node | None:
    """What stands above a path that does not reach a root."""
    seen = result.examination
    assert seen is not None
    last = facts(seen.path[-1])
    if last.self_issued:
        return None
    here = "it was not sent" if source.kind == "host" else f"it is not in {shown(source.name)}"
    lines = [("found", f"nowhere: {here}, and no trust store here has it", "")]
    if last.issuers:
        lines.append(("is said at", ", ".join(map(shown, last.issuers)), ""))
    return Node(f"? {shown(last.issuer) or '(an issuer without a name)'}", lines, style="yellow")


def _found(der: bytes, index: int, source: Source, result: Verified) -> str:
    seen = result.examination
    assert seen is not None
    places = []
    if der in source.chain:
        places.append(_ordinals(source)[der])
    if der in result.fetched:
        places.append(f"fetched from {shown(result.fetched[der])}")
    if seen.anchored and index == len(seen.path) - 1:
        places.append(f"trusted: in {shown(result.trust.source)}")
    elif not places:
        places.append(f"in {shown(result.trust.source)}")
    return "; ".join(places)


def _fetched(out: Paper, result: Verified) -> None:
    assert result.completion is not None
    out.print(Text("fetched", "bold"))
    for attempt in result.completion.attempts:
        marked(out, attempt.failed is None, "AIA", str(attempt))
    out.print()


# Of the evidence of a check: what says it all, and what needs its name.
_DETAILS: Final = ("problem", "key", "signature", "rule")
_NAMED: Final = ("not_sent", "asked_for", "expired_for", "valid_in")
_PASSED: Final = {
    "usage": "each may be used for what it is used for here",
    "root": "the chain leads to a trusted root",
    "signatures": "each is signed by the key of the one above it",
    "strength": "keys and signatures are strong enough",
    "leaks": "no key is known to be somebody else's too",
    "rules": "the rules for certificates are kept",
    "spiffe": "a rule allows its id",
}


def _checked(out: Paper, verdict: Verdict, result: Verified) -> None:
    if verdict.error is not None:
        text = _failed(verdict.error)
    elif verdict.passed is None and verdict.check == "signatures":
        text = "not verified: that takes the issuer's key, and a hash that is not broken"
    elif verdict.passed is None:
        client = result.purpose == "client"
        by_id = any(other.check == "spiffe" for other in result.examination.verdicts) if result.examination else False
        text = "not compared: clients are not asked for by name" if client else "not compared: give it by --name"
        text = "not compared: it is the id that counts" if by_id and not client else text
    elif verdict.check == "dates":
        text = f"all are valid on {result.now:%Y-%m-%d}"
    elif verdict.check == "name":
        text = f"the certificate is for {shown(result.name)}"
    else:
        text = _PASSED[verdict.check]
    marked(out, verdict.passed, verdict.check, text)


def _failed(error: CertificateError) -> str:
    """The sentence of an error, with whose certificate it is and what the problem is."""
    evidence = error.evidence
    details = [shown(evidence[name]) for name in _DETAILS if name in evidence]
    details += [f"{name.replace('_', ' ')} {shown(evidence[name])}" for name in _NAMED if name in evidence]
    where = [shown(evidence["position"])] if "position" in evidence else []
    told = ": ".join([*where, *details])
    return f"{error.reason.sentence}{f' ({told})' if told else ''}"


def _store(out: Paper, says: StoreVerdict) -> None:
    if says.store is None:
        text = f"there is none: {shown((says.error.evidence.get('problem') if says.error else '') or '')}"
        marked(out, None, says.name, text)
        return
    place = f"{count(len(says.store), 'root')} of {shown(says.store.source)}"
    root = "" if says.root is None else f" leads to {title(facts(says.root))}"
    if says.error is None:
        text = f"{place}:{root}"
    elif says.root is not None:
        text = f"{place}:{root}, and refuses it: {says.error.reason.sentence}"
    else:
        text = f"{place}: the chain {'leads to none of them' if len(says.store) > 1 else 'does not lead to it'}"
    marked(out, says.error is None, says.name, text)

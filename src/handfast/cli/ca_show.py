"""What the commands of `handfast ca` say, for people and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from handfast.authority.index import Entry
from handfast.authority.lifetimes import LEAF
from handfast.authority.places import Places
from handfast.certificates.facts import key as kind_of_key
from handfast.certificates.parsed import Parsed, parsed
from handfast.cli.lines import left, paragraph, row, wrapped
from handfast.cli.streams import Paper
from handfast.errors import shown
from handfast.observe.phrases import count

if TYPE_CHECKING:
    from handfast.authority import AuthorityFolder, Outputs, Request

_STYLES: Final = {"valid": "green", "expired": "dim", "revoked": "bold red"}
_SERIAL: Final = 12  # hexadecimal digits of a serial number in a list: nobody has two that begin alike
_SOON: Final = timedelta(days=30)  # an authority that ends so soon is told


@dataclass(frozen=True)
class Shown:
    """What a command has done: ``document`` for --json, and ``tell`` for people."""

    document: dict[str, Any]
    tell: Callable[[Paper], None]


def made(authority: AuthorityFolder, *, encrypted: bool, above: Path | None = None) -> Shown:
    """A new authority. ``above``: the folder of the authority whose root it has."""
    places = Places(authority.path)
    intermediate, root = (parsed(der) for der in places.chain())
    limits = authority.settings.limits

    def tell(out: Paper) -> None:
        row(out, "made", f"an authority in {shown(authority.path)}")
        row(out, "root", shown(root.subject), _until(root))
        row(out, "intermediate", shown(intermediate.subject), _until(intermediate))
        _limits(out, authority)
        out.print()
        row(out, "trust this", str(places.root), "give it to whoever is to trust what is issued; it is no secret")
        if above is None:
            locked = "" if encrypted else ", and no passphrase protects it"
            why = f"issuing does not need it{locked}: move it to a place that is offline, and name it by --root-key when it is needed"
            row(out, "put away", str(places.root_key), why)
        else:
            row(out, "listed in", str(above), "which has the root; it can be revoked there alone")
        if not encrypted:
            row(out, "keep private", str(places.intermediate_key), "it issues; no passphrase protects it")
        out.print()
        example = next((str(item) for item in limits.permitted if isinstance(item, str)), "localhost")
        row(out, "next", f"handfast ca issue {example}{_dir(authority)}")

    permitted, excluded = limits.texts
    document = {
        "folder": str(authority.path),
        "root": _certificate(root),
        "intermediate": _certificate(intermediate),
        "permit": permitted,
        "exclude": excluded,
        "root_file": str(places.root),
        "root_key_file": str(places.root_key) if above is None else None,
        "encrypted": encrypted,
    }
    return Shown(document, tell)


def issued(
    authority: AuthorityFolder,
    chain: Sequence[bytes],
    outputs: Outputs,
    asked: timedelta | None,
    *,
    with_key: bool,
    request: Request | None = None,
) -> Shown:
    """A new certificate. ``asked``: for how long; None for the usual time."""
    certificate, entry = parsed(chain[0]), Entry.of(chain[0])
    places = Places(authority.path)
    length = certificate.not_after - datetime.now(UTC)
    cut = length < (asked or LEAF[entry.kind]) - timedelta(minutes=1)  # type: ignore[index]
    key, both = (outputs.key, outputs.both) if with_key else (None, None)
    left_out = [] if request is None else _left_out(request, entry)

    def tell(out: Paper) -> None:
        row(out, "issued", f"for {', '.join(map(shown, entry.names))}")
        row(out, "kind", entry.kind, kind_of_key(certificate))
        row(out, "serial", entry.number)
        row(out, "valid", f"until {_moment(entry.not_after)}, {_left(entry.not_after)}")
        if cut:
            paragraph(out, "It is shorter than was asked for: the intermediate ends then.", 14, "bold")
        if left_out:
            why = "the request asks for it; it was neither named nor allowed"
            row(out, "not granted", ", ".join(map(shown, left_out)), why)
        out.print()
        row(out, "chain", str(outputs.chain))
        if key is not None:
            row(out, "key", str(key), "private, and not encrypted")
        if both is not None:
            row(out, "both", str(both), "PKCS#12")
        row(out, "trusted by", str(places.root))
        if key is not None:
            _suggest(out, _tries(entry, outputs, places))

    document = {
        "certificate": _entry(entry),
        "request": request and {"subject": shown(request.subject), "left_out": list(map(shown, left_out))},
        "shortened": cut,
        "chain_file": str(outputs.chain),
        "key_file": None if key is None else str(key),
        "pkcs12_file": None if both is None else str(both),
        "root_file": str(places.root),
    }
    return Shown(document, tell)


def _suggest(out: Paper, commands: Sequence[str]) -> None:
    if commands:
        out.print()
    for number, command in enumerate(commands):  # each on one line, so that it can be copied
        out.print(Text(f"{'' if number else 'try it':<14}", "cyan").append(command))


def _tries(entry: Entry, outputs: Outputs, places: Places) -> list[str]:
    """Commands that put a new certificate to use, on both sides."""
    ours = ["--cert", str(outputs.chain), "--key", str(outputs.key)]
    if entry.kind == "client":
        commands = [
            ["serve", "--client-ca", str(places.root), "--require-client-cert"],
            ["connect", "localhost:8443", "--ca", "ITS_ROOT.pem", *ours],
        ]
    elif entry.kind in ("server", "both"):
        commands = [["serve", *ours]]
        hosts = [name for name in entry.names if not set("@/") & set(name)]
        host = next((name for name in hosts if "*" not in name), next(iter(hosts), ""))
        if host:
            here = host in ("localhost", "127.0.0.1")  # where `serve` listens, whatever the name leads to
            called = [] if here else ["--servername", host.replace("*", "www")]
            commands.append(["connect", f"{host if here else 'localhost'}:8443", *called, "--ca", str(places.root)])
    elif entry.kind == "spiffe":
        name = next(name for name in entry.names if name.startswith("spiffe://"))
        commands = [
            ["serve", *ours, "--client-ca", str(places.root), "--spiffe", name],
            ["connect", "localhost:8443", "--ca", str(places.root), "--spiffe", name, *ours],
        ]
    else:
        commands = []
    return [shlex.join(["handfast", *command]) for command in commands]


def _left_out(request: Request, entry: Entry) -> list[str]:
    """What a request asks for and has not got: names, and extensions, which are never copied."""
    granted = {name.lower() for name in entry.names}
    asked = [str(getattr(name, "value", name)) for name in request.names]
    return [*(name for name in asked if name.lower() not in granted), *request.left_out]


def listed(authority: AuthorityFolder) -> Shown:
    """All that was issued, and the authority."""
    places = Places(authority.path)
    intermediate, root = (parsed(der) for der in places.chain())
    entries = authority.entries()
    due, unlisted = authority.list_is_due(), authority.unlisted()
    now = datetime.now(UTC)

    def tell(out: Paper) -> None:
        row(out, "root", shown(root.subject), _until(root))
        row(out, "intermediate", shown(intermediate.subject), _until(intermediate))
        _limits(out, authority)
        for issuer, until in due.items():
            late = until <= now
            state = f"was due on {_moment(until)}" if late else f"good until {_moment(until)}"
            row(out, "CRL" if issuer == "intermediate" else "CRL of root", str(places.list_of(issuer)), state)  # type: ignore[arg-type]
            missing = sum(entry.issuer == issuer for entry in unlisted)
            if missing:
                paragraph(out, f"{count(missing, 'revoked certificate')} not on it yet", 14, "bold red")
            if late or missing:
                option = " --root" if issuer == "root" else ""
                paragraph(out, f"write it anew: handfast ca revoke{option}{_dir(authority)}", 14, "bold red")
        if intermediate.not_after - now < _SOON:
            way = f"handfast ca init --dir NEW --from {authority.path}"
            paragraph(out, f"The intermediate ends soon. A new one of the same root: {way}", 0, "bold red")
        out.print()
        width = max((len(entry.kind) for entry in entries), default=0)
        for entry in entries:
            _line(out, entry, now, width)
        states = [entry.state(now) for entry in entries]
        told = ", ".join(f"{states.count(state)} {state}" for state in _STYLES if state in states)
        paragraph(out, f"{count(len(entries), 'certificate')}{': ' + told if told else ''}", 0)

    permitted, excluded = authority.settings.limits.texts
    document = {
        "folder": str(authority.path),
        "root": _certificate(root),
        "intermediate": _certificate(intermediate),
        "root_key_here": authority.has_root_key,
        "permit": permitted,
        "exclude": excluded,
        "crl_without": [entry.number for entry in unlisted],
        "crl_next_update": {issuer: until.isoformat() for issuer, until in due.items()},
        "certificates": [_entry(entry) for entry in entries],
    }
    return Shown(document, tell)


def revoked(authority: AuthorityFolder, entry: Entry | None, issuer: str, *, again: bool = False) -> Shown:
    """A revocation list, and what was revoked; None where it was only written anew."""
    places = Places(authority.path)
    path = places.list_of(issuer)  # type: ignore[arg-type]
    until = authority.list_is_due()[issuer]

    def tell(out: Paper) -> None:
        if entry is not None and entry.revoked is not None:
            row(out, "was revoked" if again else "revoked", ", ".join(map(shown, entry.names)), entry.kind)
            row(out, "serial", entry.number)
            row(out, "since", _moment(entry.revoked.when), entry.revoked.why)
        row(out, "CRL", str(path), f"the next one has to come by {_moment(until)}")
        row(out, "all CRLs", str(places.lists), "PEM, for programs that want them in one file")
        if entry is not None:
            paragraph(out, "Who does not look at the list goes on trusting it until it expires.", 14, "dim")

    document = {
        "certificate": None if entry is None else _entry(entry),
        "was_revoked_before": again,
        "crl_file": str(path),
        "crls_file": str(places.lists),
        "next_update": until.isoformat(),
    }
    return Shown(document, tell)


def _line(out: Paper, entry: Entry, now: datetime, width: int) -> None:
    state = entry.state(now)
    when = left(entry.not_after, now) if state == "valid" else ""
    if entry.revoked is not None:
        when = f"on {entry.revoked.when:%Y-%m-%d}"
    elif state == "expired":
        when = f"on {entry.not_after:%Y-%m-%d}"
    head = Text(f"{entry.number[:_SERIAL]}  ").append(f"{state:<8}", _STYLES[state])
    head.append(f"{when:<15}  {entry.kind:<{width}}  ")
    start = len(head)
    first, *rest = wrapped(out, ", ".join(map(shown, entry.names)), start)
    out.print(head.append(first))
    for line in rest:
        out.print(" " * start + line)


def _limits(out: Paper, authority: AuthorityFolder) -> None:
    permitted, excluded = authority.settings.limits.texts
    if permitted:
        row(out, "issues for", ", ".join(permitted), "and nothing else")
    if excluded:
        row(out, "never for", ", ".join(excluded))


def _until(certificate: Parsed) -> str:
    return f"{kind_of_key(certificate)}, valid until {certificate.not_after:%Y-%m-%d}, {_left(certificate.not_after)}"


def _left(until: datetime) -> str:
    now = datetime.now(UTC)
    return f"ended on {until:%Y-%m-%d}" if until < now else left(until, now)


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _dir(authority: AuthorityFolder) -> str:
    return "" if str(authority.path) == "handfast-ca" else f" --dir {authority.path}"


def _certificate(certificate: Parsed) -> dict[str, Any]:
    return {
        "subject": shown(certificate.subject),
        "key": kind_of_key(certificate),
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
    }


def _entry(entry: Entry) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "serial": entry.number,
        "state": entry.state(now),
        "kind": entry.kind,
        "names": [shown(name) for name in entry.names],
        "not_before": entry.not_before.isoformat(),
        "not_after": entry.not_after.isoformat(),
        "days_left": round((entry.not_after - now).total_seconds() / 86_400, 2),
        "fingerprint": entry.fingerprint,
        "issuer": entry.issuer,
        "revoked": None
        if entry.revoked is None
        else {"when": entry.revoked.when.isoformat(), "why": entry.revoked.why},
    }

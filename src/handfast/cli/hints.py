"""What to try after an error: the reason's hint, and what is known about the alert or the operating system's error."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Final

from handfast.certificates.spiffe import SpiffeId
from handfast.errors import AlertReceived, ConnectionFailed, MissingIntermediate, TLSError, UnknownIssuer
from handfast.reasons import (
    ALERT_RECEIVED,
    CERTIFICATE_EXPIRED,
    CERTIFICATE_NAME_MISMATCH,
    CERTIFICATE_NOT_YET_VALID,
    CERTIFICATE_RULE_BROKEN,
    CERTIFICATE_WRONG_USAGE,
    CLOSED_DURING_HANDSHAKE,
    CONNECTION_FAILED,
    INAPPROPRIATE_FALLBACK,
    KEY_ENCRYPTED,
    NO_COMMON_SIGNATURE_SCHEME,
    NO_COMMON_SUITE,
    NO_COMMON_VERSION,
    NO_EXTENDED_MAIN_SECRET,
    NOT_A_CERTIFICATE,
    NOT_A_KEY,
    NOT_TLS,
    PLAINTEXT,
    UNKNOWN_ISSUER,
    VERSION_REFUSED,
    Reason,
)
from handfast.wire.codepoints import AlertDescription

_REFUSED: Final = "Nothing listens on that port, or a firewall refuses it: check the port, and that the server runs."
_NO_WAY: Final = "There is no way to that address: check the network, and whether the host has IPv4, IPv6 or both."

# By the words of the operating system, which are all that is left of the error.
_SYSTEM: Final[Mapping[str, str]] = {
    os.strerror(errno.ECONNREFUSED): _REFUSED,
    os.strerror(errno.EHOSTUNREACH): _NO_WAY,
    os.strerror(errno.ENETUNREACH): _NO_WAY,
    os.strerror(errno.EADDRNOTAVAIL): _NO_WAY,
    os.strerror(errno.EACCES): "A firewall, or a rule of this machine, forbids it.",
    os.strerror(errno.EPERM): "A firewall, or a rule of this machine, forbids it.",
}
_NAME: Final = "The name cannot be resolved: check its spelling, and the DNS of this machine."
_DNS: Final = ("name", "nodename", "resolution", "no address")

# Where an alert of a server is about the certificate that we showed, or did not show.
_SHOW_ONE: Final = "Show a certificate from one of the authorities that the server trusts: --cert FILE --key FILE."
NOT_SENT: Final = "not sent: "  # and why, in the evidence
_OF_CLIENTS: Final[Mapping[int, str]] = {
    AlertDescription.HANDSHAKE_FAILURE: _SHOW_ONE,  # what TLS 1.2 has in place of certificate_required
    AlertDescription.CERTIFICATE_REQUIRED: _SHOW_ONE,
    AlertDescription.UNSUPPORTED_CERTIFICATE: "Show a certificate that is for client authentication (clientAuth).",
    AlertDescription.UNKNOWN_CA: "Show the whole chain (fullchain.pem), or let the server trust the root of it.",
    AlertDescription.CERTIFICATE_UNKNOWN: "The server's log says what it does not like about the certificate.",
}
# Where an option of the command line is what to try.
_OF_ALERTS: Final[Mapping[int, str]] = {
    AlertDescription.UNRECOGNIZED_NAME: "Ask for a name that the server has: --servername NAME.",
    AlertDescription.NO_APPLICATION_PROTOCOL: "Offer one that the server speaks, such as --alpn h2,http/1.1, or none.",
}
_OLD: Final = "A server that has nothing newer than TLS 1.1 may send it too: it cannot use any of these suites."
_GONE: Final = "Its own log may say why; who only looks whether a port is open leaves like this too."
_NEEDED: Final = "the server needs a client certificate, or does not accept this one: TLS 1.2 has no finer alert for it"
_NEEDED_HERE: Final = "the server needs a client certificate, as a rule: GnuTLS says so by this alert in TLS 1.2"

# Where a peer sends one certificate: what may be missing is its issuer's root here, or an intermediate there.
_ALONE: Final = "certificate 1 of 1"
_WHOLE: Final = "If that root is given already, an intermediate is missing: whoever sends this certificate has to send the whole chain (fullchain.pem)."
_LIKELY: Final = "An intermediate is likely to be missing: whoever sends this certificate has to send the whole chain (fullchain.pem)."
_OTHER: Final = "If that is all there is, its root is another one than those that --ca FILE names."
_OTHERS: Final = "The roots that --ca FILE names are others. If the issuer is your own, name its root; if not, the peer may not be who it says."
_RENEWED: Final = "A root that --ca FILE names has the issuer's name and another key: get its file anew from whoever runs the authority."
_LEFT_OUT: Final = "If it is the root that is left out (skipped), get its file anew."

# What servers say first that want to be asked for TLS.
_GREETINGS: Final = (
    (b"220", "smtp, --starttls lmtp or --starttls ftp"),
    (b"* ", "imap"),
    (b"+OK", "pop3"),
    (b"200", "nntp"),
    (b"201", "nntp"),
    (b'"IMP', "sieve"),
)
_MYSQL: Final = b"\x00\x00\x00\x0a"  # behind the packet's length: the number 0, and the protocol's version

# Where the two sides have no version in common.
_VERSIONS: Final = ("TLSv1.3", "TLSv1.2")
# Where a file of --cert or --key is not what it has to be.
_OF_KEYS: Final[Mapping[Reason, str]] = {
    KEY_ENCRYPTED: "On a terminal the password is asked for; --password-file FILE has it where there is none.",
    NOT_A_KEY: "--key FILE names the private key, where it is not in the file of --cert.",
}
# Where it is not valid at the time of --at.
_AT: Final[Mapping[Reason, str]] = {
    CERTIFICATE_EXPIRED: "It ends before the time of --at: by then its owner has to have renewed it.",
    CERTIFICATE_NOT_YET_VALID: "It begins after the time of --at: ask for a later time, or have it issued to begin earlier.",
}

# Where it is not a certificate that is in a file, but something that has to do with one.
_INSTEAD: Final = (
    ("(CSR), and no certificate yet; ", "Have it sent again, or made anew."),
    (
        "(CSR)",
        "handfast ca sign FILE NAME makes a certificate of it; handfast cert show FILE shows what it asks for.",
    ),
    ("(CRL)", "openssl crl -text -in FILE shows what it revokes."),
)
_AS_CLIENT: Final = "If it is a client's certificate, verify it as one: --purpose client."
_ANOTHER: Final = "See that it is the password of this file; of --password-file the whole first line counts."


def hints(problem: TLSError, *, serving: bool = False, given: bool = False) -> list[str]:
    """What to try, the likeliest first.

    ``serving``  it is `handfast serve` that is run, with other options
    ``given``    the roots are those of --ca
    """
    found: list[str] = []
    if isinstance(problem, AlertReceived) and problem.reason is ALERT_RECEIVED:
        ours = _of_clients(problem)
        found.append(ours or _OF_ALERTS.get(problem.description) or problem.hint)
        nothing_in_common = ours is None and problem.description == AlertDescription.HANDSHAKE_FAILURE
        if nothing_in_common and "TLSv1.2" in _names(problem, "versions_we_offered"):
            found.append(_OLD)
    if isinstance(problem, ConnectionFailed) and problem.reason is CONNECTION_FAILED:
        found.append(_of_address(str(problem.evidence.get("host", ""))))
        found.append(_of_system(str(problem.evidence.get("problem", ""))))
    wrong = problem.reason is KEY_ENCRYPTED and problem.evidence.get("problem") == "the password is wrong"
    found += [_ANOTHER if wrong else _OF_KEYS.get(problem.reason, ""), _of_certificate(problem)]
    if not serving:
        found += [_of_proxies(problem), _of_greetings(problem), *_of_missing(problem, given=given)]
    if problem.reason in (NO_COMMON_VERSION, VERSION_REFUSED):
        found.append(_of_versions(problem, serving))
    if problem.reason is NO_COMMON_SUITE:
        found.append(_of_suites(problem))
    if problem.reason is NO_COMMON_SIGNATURE_SCHEME:
        found.append(_of_kinds(problem))
    if problem.reason is CLOSED_DURING_HANDSHAKE and serving:
        found.append(_GONE)
    if problem.reason is INAPPROPRIATE_FALLBACK:
        found.append("Let the client try its newest version first; if that fails, look for a box in between.")
    if problem.reason is NO_EXTENDED_MAIN_SECRET:
        found.append("Update the peer, or let it speak TLS 1.3: the extended master secret of TLS 1.2 is from 2015.")
    found = [hint for hint in found if hint]
    if not found and problem.hint:
        found.append(problem.hint)
    return [hint.replace("--ca FILE", "--client-ca FILE") for hint in found] if serving else found


def alert_meaning(problem: AlertReceived) -> str:
    """What the sender of an alert says by it, there where it was sent."""
    if problem.description == AlertDescription.HANDSHAKE_FAILURE and "client_certificate" in problem.evidence:
        return _NEEDED
    if _lacks_one(problem):
        return _NEEDED_HERE
    return problem.meaning


def _of_clients(problem: AlertReceived) -> str | None:
    """Where the alert is about the certificate that we showed, or did not show."""
    if "client_certificate" not in problem.evidence:
        return None
    return _SHOW_ONE if _lacks_one(problem) else _OF_CLIENTS.get(problem.description)


def _lacks_one(problem: AlertReceived) -> bool:
    """Whether it is GnuTLS that needs a certificate in TLS 1.2: it says so when it looks for the one that did not come."""
    return (
        problem.description == AlertDescription.DECODE_ERROR
        and problem.evidence.get("version") == "TLSv1.2"
        and str(problem.evidence.get("client_certificate", "")).startswith(NOT_SENT)
    )


def _of_certificate(problem: TLSError) -> str:
    """Where it is refused for the time of --at, or for a rule that an option relaxes; or where there is none."""
    if problem.reason is CERTIFICATE_RULE_BROKEN and "relax" in problem.evidence and "proxy" not in problem.evidence:
        return f"Have it issued anew, or do not hold this one rule: --relax {problem.evidence['relax']}"
    if problem.reason is CERTIFICATE_NAME_MISMATCH and "proxy" not in problem.evidence:
        return _of_services(_names(problem, "certificate_is_for"))
    if problem.reason is NOT_A_CERTIFICATE:
        what = str(problem.evidence.get("problem", ""))
        return next((hint for name, hint in _INSTEAD if name in what), "")
    if problem.reason is CERTIFICATE_WRONG_USAGE and problem.evidence.get("verified_for") == "server":
        return _AS_CLIENT if "allows clientAuth" in str(problem.evidence.get("problem", "")) else ""
    return _AT.get(problem.reason, "") if "at" in problem.evidence else ""


def _of_services(names: list[str]) -> str:
    """Where a certificate names a service and no host: its id is asked for by an option of its own."""
    if len(names) != 1 or not names[0].startswith("URI:spiffe://"):
        return ""
    try:
        known = SpiffeId.parse(names[0].removeprefix("URI:"))
    except ValueError:
        return ""  # the peer has written it: what is no id is nothing to be typed after us
    return f"If it is this service that was meant, ask for its id in place of a name: --spiffe {known}"


def _of_missing(problem: TLSError, *, given: bool) -> list[str]:
    """Where a server did not send an intermediate certificate, and nobody has tried to fetch it; or a root is not used."""
    if given and "skipped" in problem.evidence and "proxy" not in problem.evidence:
        return [_LEFT_OUT, *(_of_intermediates(problem, given=True) or [problem.hint])]
    return _of_intermediates(problem, given=given)


def _of_intermediates(problem: TLSError, *, given: bool) -> list[str]:
    if (
        problem.reason is UNKNOWN_ISSUER
        and problem.evidence.get("position") == _ALONE
        and "proxy" not in problem.evidence
    ):
        if given and "another key" in str(problem.evidence.get("problem", "")):
            return [_RENEWED, _WHOLE]
        return [_LIKELY, _OTHER] if given and "problem" not in problem.evidence else [problem.hint, _WHOLE]
    if problem.reason is UNKNOWN_ISSUER and given and "proxy" not in problem.evidence:
        return [_RENEWED if "another key" in str(problem.evidence.get("problem", "")) else _OTHERS]
    address = str(problem.evidence.get("issuer_can_be_fetched_from", ""))
    if not isinstance(problem, MissingIntermediate) or "proxy" in problem.evidence:
        return []
    if "internal_address" in problem.evidence:
        return [problem.hint, f"If it is your own, allow it: --aia-network {problem.evidence['internal_address']}"]
    if "fetching" in problem.evidence or not address.lower().startswith("http://"):
        return []
    return [
        problem.hint,
        "--aia fetches what is missing from there, for this once; programs without that will go on failing.",
    ]


def _of_proxies(problem: TLSError) -> str:
    """Where it is an https proxy whose certificate nobody here trusts."""
    if isinstance(problem, UnknownIssuer) and "proxy" in problem.evidence:
        return (
            "Name the root that the proxy's certificate comes from: --proxy-ca FILE. What --ca names is for the server."
        )
    return ""


def _of_greetings(problem: TLSError) -> str:
    """How to begin with a server that has greeted us in a protocol which has a command for TLS."""
    if problem.reason not in (PLAINTEXT, NOT_TLS):
        return ""
    first = problem.evidence.get("first_bytes")
    greeting = first if isinstance(first, bytes) else str(first).encode()
    names = [name for begin, name in _GREETINGS if greeting.startswith(begin)]
    if greeting[1:5] == _MYSQL:
        names.append("mysql")
    return (
        f"The server greets us in plain text. It may begin TLS when it is asked to: --starttls {names[0]}"
        if names
        else ""
    )


def _of_versions(problem: TLSError, serving: bool) -> str:
    """What brings two sides together that have no version in common: an option here, or an update there.

    The evidence is what each side offered, as far as it is known; an alert says nothing of its sender's versions.
    """
    ours = _names(problem, "we_accept" if serving else "we_offered")
    theirs = [*_names(problem, "peer_offered"), str(problem.evidence.get("peer_speaks", ""))]
    for version in _VERSIONS:
        if ours and version not in ours and (version in theirs or theirs == [""]):
            number = version.removeprefix("TLSv")
            if serving:
                return f"Accept TLS {number} as well: --tls 1.2,1.3"
            does = "speaks" if version in theirs else "may speak"
            return f"The server {does} TLS {number}: offer it as well (--tls 1.2,1.3), with a group and a suite that it has."
    return f"Update the {'client' if serving else 'server'}: TLS 1.2 is from 2008, and what was before it is broken."


def _of_suites(problem: TLSError) -> str:
    """What brings a client of TLS 1.2 and a server together that have no suite in common; "" in TLS 1.3.

    In TLS 1.2 a suite names the kind of the server's certificate, so a suite that both sides have may be of no use.
    """
    if "our_certificates_are" not in problem.evidence:
        return ""
    common = set(_names(problem, "peer_offered")) & set(_names(problem, "we_accept"))
    if common:
        kinds = [kind for kind in ("RSA", "ECDSA") if any(f"_{kind}_" in name for name in common)]
        return f"What both sides have is for an {' or '.join(kinds)} certificate: serve one of these, or let the client offer more."
    return "Let the client offer ECDHE with AES-GCM or ChaCha20-Poly1305: of TLS 1.2 nothing else is left (RFC 9325)."


def _of_kinds(problem: TLSError) -> str:
    """What lets one of our certificates be used, where the cause is special to TLS 1.2; "" where it is not."""
    if "peer_knows_curves" not in problem.evidence:
        return ""
    ours = _names(problem, "we_can_sign_with")
    if not ours:
        kinds = " or ".join(_names(problem, "our_certificates_are"))
        return f"TLS 1.2 has no signatures by {kinds}: let the client speak TLS 1.3, or serve a certificate with another key."
    if set(ours) & set(_names(problem, "peer_offered")):
        return "The client does not know the curve of our certificate (supported_groups): let it offer that too, or serve RSA."
    return ""


def _names(problem: TLSError, name: str) -> list[str]:
    value = problem.evidence.get(name)
    return [str(item) for item in value] if isinstance(value, (list, tuple)) else []


def _of_address(host: str) -> str:
    """Where the last part of an IPv6 address may have been meant for a port: "::1:9102"."""
    address, _, port = host.rpartition(":")
    try:
        known = IPv6Address(address)
    except ValueError:
        return ""
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        return ""
    return f"If {port} is the port, the address stands in brackets: [{known}]:{port}"


def _of_system(words_of_system: str) -> str:
    known = _SYSTEM.get(words_of_system, "")
    if not known and any(word in words_of_system.lower() for word in _DNS):
        return _NAME
    return known

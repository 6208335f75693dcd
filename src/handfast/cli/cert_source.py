"""Where the certificates of `handfast cert` come from: a file, standard input, or a server that shows them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from handfast.authority.asked import requests
from handfast.certificates import containers, pem
from handfast.certificates.loading import is_pkcs12
from handfast.certificates.parsed import parsed
from handfast.cli import names
from handfast.cli.connect import address
from handfast.cli.identity import first_line, typed
from handfast.config import ClientConfig
from handfast.errors import CertificateError, ConfigurationError, TLSError, shown
from handfast.insecure import NoVerification
from handfast.reasons import KEY_ENCRYPTED, NOT_A_CERTIFICATE
from handfast.transport.blocking import dial
from handfast.transport.starttls.dialogue import Dialogue

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from handfast.authority.requests import Asked
    from handfast.certificates.peer import PeerIdentity
    from handfast.cli.cert_run import Options

LARGEST: Final = 16 << 20  # bytes of a file
_STDIN: Final = "-"
_SUFFIXES: Final = frozenset(
    (".pem", ".crt", ".cer", ".cert", ".der", ".p7b", ".p7c", ".p7s", ".p12", ".pfx", ".ca-bundle", ".txt")
)


@dataclass(frozen=True)
class Source:
    """Certificates, and where they are from.

    ``chain``    DER, in the order in which they came
    ``version``  of TLS, where a server sent them
    ``failure``  what ended the handshake afterwards, if anything did
    ``cut``      a file ends within a certificate, which is not in the chain
    ``requests`` for certificates that are in a file in place of certificates
    """

    kind: Literal["file", "stdin", "host"]
    name: str
    chain: tuple[bytes, ...]
    host: str | None = None
    version: str | None = None
    failure: TLSError | None = field(default=None, compare=False)
    cut: bool = False
    requests: tuple[Asked, ...] = field(default=(), compare=False)


def read(options: Options) -> Source:
    """The certificates. Raises ConfigurationError for a file, and TLSError for a server that sends none."""
    target = options.target
    if target == _STDIN:
        data = sys.stdin.buffer.read(LARGEST + 1)
        return _of_file("stdin", "standard input", data, options)
    if _is_file(target):
        return _of_file("file", target, pem.read(target, LARGEST), options)
    return _of_host(options)


def _of_file(kind: Literal["file", "stdin"], name: str, data: bytes, options: Options) -> Source:
    try:
        return Source(kind, name, _in_file(data, name, options), cut=pem.is_cut(data))
    except ConfigurationError as error:
        if options.command != "show" or error.reason is not NOT_A_CERTIFICATE or not pem.has_requests(data):
            raise
        problem = error.evidence["problem"]
    try:
        found = requests(data, name)
    except ConfigurationError as error:
        problem = f"{problem}; {error.evidence['problem']}"
    else:
        if found:
            return Source(kind, name, (), requests=tuple(found))
    raise ConfigurationError(NOT_A_CERTIFICATE, file=name, problem=problem)


def _is_file(target: str) -> bool:
    """What is there is a file; so is what looks like one, which then gets a file's error."""
    try:
        there = Path(target).exists()
    except (OSError, ValueError):
        there = False
    if not there and "://" in target:
        return False  # which is no host either, and is told so
    return there or "/" in target or "\\" in target or Path(target).suffix.lower() in _SUFFIXES


def _in_file(data: bytes, name: str, options: Options) -> tuple[bytes, ...]:
    if len(data) > LARGEST:
        raise ConfigurationError(NOT_A_CERTIFICATE, file=name, problem=f"it has more than {LARGEST >> 20} MiB")
    if not pem.is_pem(data) and is_pkcs12(data):
        return _leaf_first(_in_pkcs12(data, name, options.password_file))
    try:
        return _leaf_first(containers.certificates(data))
    except CertificateError as error:
        problem = pem.instead(data) or str(error.evidence.get("problem") or error.reason.sentence)
        raise ConfigurationError(NOT_A_CERTIFICATE, file=name, problem=problem) from None


def _leaf_first(chain: list[bytes]) -> tuple[bytes, ...]:
    """The same with the certificate in front that has issued no other one: PKCS#7 is a set, and people sort as they like."""
    found = [parsed(der) for der in chain]
    issuers = {item.raw.issuer for item in found if not item.self_issued}
    leaf = next((item.der for item in found if item.raw.subject not in issuers), chain[0])
    return (leaf, *(der for number, der in enumerate(chain) if number != chain.index(leaf)))


def _in_pkcs12(data: bytes, name: str, password_file: Path | None) -> list[bytes]:
    if password_file is not None:
        return _opened(data, name, [first_line(password_file)])
    try:
        return _opened(data, name, [None, ""])  # many have none
    except ConfigurationError as error:
        if error.evidence.get("setting") is None:
            raise
    answer = typed(f"Password of {shown(name)}: ")
    if answer is None:
        raise ConfigurationError(setting="--password-file", problem=f"is needed: {name} is PKCS#12, and has a password")
    return _opened(data, name, [answer])


def _opened(data: bytes, name: str, passwords: Sequence[str | None]) -> list[bytes]:
    for password in passwords:
        try:
            return containers.of_pkcs12(data, password, name)
        except ConfigurationError as error:
            if error.reason is not KEY_ENCRYPTED:
                raise
    raise ConfigurationError(setting="--password-file", problem=f"{name} is PKCS#12, and has another password")


class _Listening:
    """Accepts any chain, and keeps it: also that of a handshake which fails later."""

    def __init__(self) -> None:
        self.chain: tuple[bytes, ...] = ()

    def verify_server(self, chain: Sequence[bytes], server_name: str | None, now: datetime) -> PeerIdentity:
        self.chain = tuple(chain)
        return NoVerification().verify_server(chain, server_name, now)


def _of_host(options: Options) -> Source:
    dialogue = None if options.starttls is None else Dialogue(options.starttls)
    host, port = address(options.target, dialogue.protocol.port if dialogue else 443)
    listening = _Listening()
    config = ClientConfig(verifier=listening, handshake_timeout=options.timeout, **names.versions(options.tls))
    tls = dial(host, port, config=config, server_name=options.name or host, timeout=options.timeout, starttls=dialogue)
    failure: TLSError | None = None
    version = None
    with tls:
        try:
            tls.do_handshake()
            version = tls.handshake.version
        except TLSError as error:
            if not listening.chain:
                raise
            failure = error
    return Source("host", options.target, listening.chain, host, version, failure)

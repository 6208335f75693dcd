"""Java's JSSE, by a small program of ours in peers/java, as the JDK of the system compiles it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from handfast.wire.codepoints import AlertDescription
from tests.interop.features import CLASSICAL, ECDSA, RSA, SESSIONS, SUITES, SUITES_12, Abilities, both
from tests.interop.peer import (
    BAD_CERTIFICATE,
    CERTIFICATE_UNKNOWN,
    HANDSHAKE_FAILURE,
    UNEXPECTED_MESSAGE,
    UNKNOWN_CA,
    UPDATED_AFTER,
    Peer,
    Setup,
    said,
)
from tests.interop.peers.piped import Piped, built
from tests.interop.processes import Program
from tests.peers import require_peer

if TYPE_CHECKING:
    from handfast import TLSSocket
    from tests.interop.credentials import Credentials
    from tests.interop.peer import Running

SOURCE = Path(__file__).parent / "java"
# Each test is one short run: the better compiler and parallel collectors would not pay.
_QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xshare:auto")
_LACKS = {
    "no common suite": "JSSE has the suites of TLS 1.3 that handfast offers, and no other",
    "tls-unique": "JSSE does not show it",
    "exporter": "JSSE has exporters from Java 25 on only",
    "exporter with a context": "JSSE has exporters from Java 25 on only",
    "record size limit of handfast": "JSSE has no RFC 8449",
    "record size limit of the peer": "JSSE has no RFC 8449",
    "padding by the peer": "JSSE pads nothing",
    **dict.fromkeys(SESSIONS, "the program makes one connection"),
}


class _Java(Piped):
    def alert(self) -> int:
        number = AlertDescription.value(self.said("error")["alert"].upper())
        assert number is not None
        return number

    def update_keys(self) -> None:
        """It does so by itself: see keyLimits."""

    def renegotiate(self, tls: TLSSocket | None) -> None:
        """It does so before the second piece of data."""
        if tls is None:
            assert self.echo(b"first\n") == b"first\n"
        else:
            assert self.swap(tls, b"first\n") == (b"first\n", b"first\n")
        self.program.write(b"again\n")


class Java(Peer):
    name = "java"
    who = "JSSE, by a small program in `tests/interop/peers/java`, as the JDK of the system compiles it"
    as_server = both(
        Abilities(
            SUITES,
            (*CLASSICAL, "x448"),
            (*ECDSA, *RSA),
            lacks=_LACKS
            | {
                "ChaCha20 first": "JSSE has no such rule",
                "cookie": "JSSE never sends one",
                "server name": "JSSE's key managers do not choose by it",
            },
        ),
        SUITES_12,
        has=["no common suite"],
    )
    as_client = both(
        Abilities(
            SUITES,
            (*CLASSICAL, "x448"),
            (*ECDSA, *RSA),
            lacks=_LACKS
            | {
                "retry always": "JSSE makes new key shares although it is not asked for any, which handfast refuses",
                "the client comes again with TLS 1.2": "JSSE never sends TLS_FALLBACK_SCSV",
            },
        ),
        SUITES_12,
        has=["no common suite"],
    )
    unknown_ca = frozenset({CERTIFICATE_UNKNOWN, UNKNOWN_CA})
    unknown_client_ca = frozenset({CERTIFICATE_UNKNOWN, UNKNOWN_CA})
    no_common_group = frozenset({UNEXPECTED_MESSAGE, HANDSHAKE_FAILURE})
    without_certificate = without_certificate_12 = frozenset({BAD_CERTIFICATE})

    def version(self) -> str:
        words = said("javac", "-version").split()
        return f"OpenJDK {words[1]}"

    def serve(self, credentials: Credentials, setup: Setup) -> Running:
        options = [f"identities={','.join(f'{files.chain}:{files.key}' for files in credentials.servers(setup))}"]
        if setup.asks:
            options.append(f"asks={setup.asks}")
        return self._run(credentials, setup, *options, port=None)

    def connect(self, credentials: Credentials, setup: Setup, port: int) -> Running:
        options = [f"connect={port}", f"name={setup.name}"]
        if files := credentials.client_of(setup):
            options.append(f"identities={files.chain}:{files.key}")
        return self._run(credentials, setup, *options, port=port)

    def _run(self, credentials: Credentials, setup: Setup, *options: str, port: int | None) -> Running:
        classes = built(SOURCE, said("javac", "-version"), require_peer("javac"), "-d", "{}", "Peer.java")
        machine = [require_peer("java"), *_QUICK, "-cp", str(classes)]
        if setup.groups:
            machine.append(f"-Djdk.tls.namedGroups={','.join(setup.groups)}")
        if not setup.compatible:
            machine.append("-Djdk.tls.client.useCompatibilityMode=false")
        more = [f"roots={credentials.trusted_by(setup)}"]
        if setup.suites:
            more.append(f"suites={','.join(setup.suites)}")
        if setup.alpn:
            more.append(f"alpn={','.join(setup.alpn)}")
        more.append(
            f"protocols={','.join(f'TLSv{version}' for version in dict.fromkeys((setup.highest, setup.lowest)))}"
        )
        if setup.order == "client":
            more.append("order=client")
        if setup.renegotiates:
            more.append("renegotiates=yes")
        if setup.updates:
            more.append(f"keyLimits=AES/GCM/NoPadding KeyUpdate {UPDATED_AFTER}")
        return _Java(Program(*machine, "Peer", *options, *more), port)

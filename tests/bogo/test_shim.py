"""The shim without the runner: its flags, its exit codes, and connections to OpenSSL in the runner's place."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handfast import reasons
from handfast.testing import Authority
from handfast.testing.authority import IssuedIdentity
from handfast.wire.codepoints import AlertDescription
from tests.bogo import report
from tests.bogo.flags import Unimplemented, parse
from tests.bogo.run import CONFIG, HERE, Runner
from tests.bogo.setting import cipher_suites

SHIM_ID = 0x0102030405060708
HALF_MINUTE = 30


# --- flags


def test_flags_become_attributes_and_absent_ones_are_empty() -> None:
    options = parse(["-server", "-port", "4433", "-curves", "29", "-curves", "23", "-select-alpn", "h2", "-async"])
    assert (options.server, options.port, options.curves, options.select_alpn) == (True, 4433, [29, 23], "h2")
    assert options.async_
    assert (options.verify_peer, options.read_size, options.key_shares, options.host_name) == (False, None, [], None)
    with pytest.raises(AttributeError):
        _ = options.no_such_flag


def test_a_flag_for_later_connections_is_not_for_the_first_one() -> None:
    options = parse(["-on-resume-expect-no-session", "-on-initial-expect-hrr", "-on-retry-curves", "29", "-async"])
    later = options.on_resume
    every = [options, later, later.on_retry]
    assert [each.expect_no_session for each in every] == [False, True, False]
    assert [each.expect_hrr for each in every] == [True, False, False]
    assert [each.curves for each in every] == [[], [], [29]]
    assert all(each.async_ for each in every)


def test_flags_of_certificates_belong_to_the_last_one_that_was_begun() -> None:
    default = ["-cert-file", "default.pem", "-key-file", "default.key"]
    one = ["-new-x509-credential", "-cert-file", "a.pem", "-signing-prefs", "1027", "-signing-prefs", "2052"]
    two = ["-new-x509-credential", "-cert-file", "b.pem", "-must-match-issuer"]
    options = parse([*default, *one, *two])
    first, second = options.credentials
    assert (options.default.cert_file, options.default.signing_prefs) == ("default.pem", [])
    assert (first.cert_file, first.signing_prefs, first.must_match_issuer) == ("a.pem", [1027, 2052], False)
    assert (second.cert_file, second.signing_prefs, second.must_match_issuer) == ("b.pem", [], True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-dtls"],
        ["-on-resume-early-write-after-message", "5"],
        ["-resume-count", "1", "-on-resume-max-version", "770"],
        ["-max-version", "770"],
        ["-no-tls13", "-no-tls12"],
        ["-expect-version", "770"],
        ["-fallback-scsv"],
        ["-key-file", "raw-public.key"],
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_not_implemented(arguments: list[str]) -> None:
    with pytest.raises(Unimplemented):
        parse(arguments)


TLS_1_2, TLS_1_3 = 0x0303, 0x0304


@pytest.mark.parametrize(
    ("arguments", "versions"),
    [
        ([], [TLS_1_2, TLS_1_3]),
        (["-min-version", "769"], [TLS_1_2, TLS_1_3]),
        (["-min-version", "772"], [TLS_1_3]),
        (["-max-version", "771"], [TLS_1_2]),
        (["-no-tls12"], [TLS_1_3]),
        (["-no-tls13"], [TLS_1_2]),
        (["-min-version", "771", "-max-version", "771", "-expect-version", "771"], [TLS_1_2]),
    ],
    ids=str,
)
def test_flags_of_versions(arguments: list[str], versions: list[int]) -> None:
    assert parse(arguments).versions == versions


AES_128, CHACHA20 = 0xC02F, 0xCCA8
ALL_OF_13 = [0x1301, 0x1302, 0x1303]


@pytest.mark.parametrize(
    ("listed", "suites"),
    [
        (None, None),
        ("ALL:3DES", None),
        ("DEFAULT:!AES", [*ALL_OF_13, 0xCCA9, CHACHA20]),
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", [*ALL_OF_13, AES_128]),
        (
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:[TLS_RSA_WITH_AES_128_CBC_SHA|TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256]",
            [*ALL_OF_13, AES_128, CHACHA20],
        ),
    ],
)
def test_lists_of_cipher_suites(listed: str | None, suites: list[int] | None) -> None:
    assert cipher_suites(listed) == suites


@pytest.mark.parametrize("listed", ["3DES", "TLS_RSA_WITH_AES_128_GCM_SHA256"])
def test_suites_that_handfast_does_not_have(listed: str) -> None:
    with pytest.raises(Unimplemented):
        cipher_suites(listed)


# --- the process


def launch(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(HERE / "shim"), *arguments],
        env={**os.environ, "HANDFAST_PYTHON": sys.executable, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=HALF_MINUTE,
    )


def test_no_handshake_is_divided_among_processes() -> None:
    ended = launch("-is-handshaker-supported")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "No\n", "")


def test_a_bug_is_no_failure_that_a_test_may_want() -> None:
    ended = launch("-server", "-port", "1", "-cert-file", "/nowhere", "-key-file", "/nowhere")
    assert ended.returncode == 90
    assert "FILE_UNREADABLE" in ended.stderr or "cannot be read" in ended.stderr


def test_what_is_not_implemented_is_answered_with_89_and_noted(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    for flag in ("-dtls", "-on-resume-false-start"):
        ended = launch("-port", "1", flag, environment={"HANDFAST_BOGO_NOTES": str(notes)})
        assert (ended.returncode, ended.stdout, ended.stderr) == (89, "", "")
    assert notes.read_text() == "-dtls\n-on-resume-false-start\n"


def test_nothing_costly_is_imported_before_89() -> None:
    command = [sys.executable, "-IS", "-X", "importtime", str(HERE), "-dtls"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=HALF_MINUTE)
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert ended.returncode == 89
    assert "tests.bogo.flags" in imported
    costly = ("handfast", "cryptography", "site", "typing", "dataclasses", "socket", "re")
    assert not {name for name in imported if name.split(".")[0] in costly}


# --- connections


class Peer:
    """Takes the runner's place: the shim connects to it, and OpenSSL plays the other side."""

    def __init__(self, *arguments: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(HALF_MINUTE)
        port = self._listener.getsockname()[1]
        self._shim = subprocess.Popen(
            [str(HERE / "shim"), "-port", str(port), "-shim-id", str(SHIM_ID), *arguments],
            env={**os.environ, "HANDFAST_PYTHON": sys.executable},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def accept(self) -> socket.socket:
        """The shim's connection, once it has said which test it plays."""
        connection, _ = self._listener.accept()
        connection.settimeout(HALF_MINUTE)
        name = connection.recv(8, socket.MSG_WAITALL)
        assert int.from_bytes(name, "little") == SHIM_ID
        return connection

    def end(self) -> tuple[int, str]:
        """The shim's exit code, and what it has written to standard error."""
        _, errors = self._shim.communicate(timeout=HALF_MINUTE)
        return self._shim.returncode, errors

    def close(self) -> None:
        self._listener.close()
        self._shim.kill()
        self._shim.communicate()


@pytest.fixture
def play() -> Iterator[Callable[..., Peer]]:
    peers: list[Peer] = []

    def begin(*arguments: str) -> Peer:
        peers.append(Peer(*arguments))
        return peers[-1]

    yield begin
    for peer in peers:
        peer.close()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create()


def files(identity: Any, folder: Path) -> list[str]:
    assert isinstance(identity, IssuedIdentity)
    certificates, key = identity.write(folder)
    return ["-cert-file", str(certificates), "-key-file", str(key)]


def serving(identity: Any, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _, certificates, _, key = files(identity, folder)
    context.load_cert_chain(certificates, key)
    return context


def asking() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def inverted(data: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in data)


def received(tls: ssl.SSLSocket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = tls.recv(length - len(data))
        assert piece, "the shim has closed"
        data += piece
    return data


@pytest.mark.parametrize("flag", [[], ["-async"], ["-implicit-handshake"]], ids=str)
def test_a_client_echoes_inverted_bytes(
    play: Callable[..., Peer], authority: Authority, tmp_path: Path, flag: list[str]
) -> None:
    peer = play(*flag, "-shim-writes-first", "-expect-curve-id", "29", "-curves", "29")
    data = bytes(range(256)) * 5  # more than the 512 bytes that the shim reads at a time
    with serving(authority.issue("test"), tmp_path).wrap_socket(peer.accept(), server_side=True) as tls:
        assert tls.version() == "TLSv1.3"
        assert received(tls, 5) == b"hello"
        tls.sendall(data)
        assert received(tls, len(data)) == inverted(data)
        tls.unwrap()
    assert peer.end() == (0, "")


@pytest.mark.parametrize("flag", [[], ["-async"], ["-use-early-callback"], ["-async", "-use-early-callback"]], ids=str)
def test_a_server_echoes_inverted_bytes(
    play: Callable[..., Peer], authority: Authority, tmp_path: Path, flag: list[str]
) -> None:
    peer = play("-server", *flag, *files(authority.issue("test"), tmp_path), "-expect-server-name", "test")
    with asking().wrap_socket(peer.accept(), server_hostname="test") as tls:
        tls.sendall(b"abc")
        assert received(tls, 3) == inverted(b"abc")
        tls.unwrap()
    assert peer.end() == (0, "")


def test_a_server_asks_for_a_certificate(play: Callable[..., Peer], authority: Authority, tmp_path: Path) -> None:
    server = files(authority.issue("test"), tmp_path)
    (tmp_path / "client").mkdir()
    _, certificates, _, key = files(authority.issue("client", usage=["client"]), tmp_path / "client")
    flags_ = ["-require-any-client-certificate", "-expect-peer-cert-file", certificates, "-expect-verify-result"]
    peer = play("-server", "-async", *server, *flags_)
    context = asking()
    context.load_cert_chain(certificates, key)
    with context.wrap_socket(peer.accept(), server_hostname="test") as tls:
        tls.sendall(b"abc")
        assert received(tls, 3) == inverted(b"abc")
        tls.unwrap()
    assert peer.end() == (0, "")


def test_an_error_is_told_and_its_alert_arrives(
    play: Callable[..., Peer], authority: Authority, tmp_path: Path
) -> None:
    peer = play("-verify-peer", "-verify-fail")
    context = serving(authority.issue("test"), tmp_path)
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        context.wrap_socket(peer.accept(), server_side=True)
    code, errors = peer.end()
    assert code == 1
    assert ":CERTIFICATE_REFUSED:" in errors


def test_what_a_flag_expects_is_checked(play: Callable[..., Peer], authority: Authority, tmp_path: Path) -> None:
    peer = play("-expect-alpn", "h2")
    with serving(authority.issue("test"), tmp_path).wrap_socket(peer.accept(), server_side=True) as tls:
        assert tls.recv(1) == b""
    code, errors = peer.end()
    assert (code, errors) == (90, "check failed: ALPN is '', 'h2' is expected\n")


@pytest.mark.parametrize(("flag", "code"), [([], 0), (["-check-close-notify"], 1)], ids=str)
def test_an_end_without_close_notify(
    play: Callable[..., Peer], authority: Authority, tmp_path: Path, flag: list[str], code: int
) -> None:
    peer = play(*flag)
    tls = serving(authority.issue("test"), tmp_path).wrap_socket(peer.accept(), server_side=True)
    tls.sendall(b"abc")
    assert received(tls, 3) == inverted(b"abc")
    tls.shutdown(socket.SHUT_RDWR)  # of the TCP connection: OpenSSL says nothing
    tls.close()
    ended, errors = peer.end()
    assert ended == code
    assert (":TRUNCATED:" in errors) == bool(code)


@pytest.mark.parametrize("flag", [[], ["-async"]], ids=str)
def test_a_client_of_tls12(play: Callable[..., Peer], authority: Authority, tmp_path: Path, flag: list[str]) -> None:
    checks = ["-expect-version", "771", "-expect-secure-renegotiation", "-expect-peer-signature-algorithm", "1027"]
    peer = play(*flag, "-max-version", "771", "-tls-unique", *checks)
    with serving(authority.issue("test"), tmp_path).wrap_socket(peer.accept(), server_side=True) as tls:
        assert tls.version() == "TLSv1.2"
        assert received(tls, 12) == tls.get_channel_binding("tls-unique")
        tls.sendall(b"abc")
        assert received(tls, 3) == inverted(b"abc")
        tls.unwrap()
    assert peer.end() == (0, "")


def test_a_server_of_tls12_asks_for_a_certificate(
    play: Callable[..., Peer], authority: Authority, tmp_path: Path
) -> None:
    server = files(authority.issue("test"), tmp_path)
    (tmp_path / "client").mkdir()
    _, certificates, _, key = files(authority.issue("client", usage=["client"]), tmp_path / "client")
    peer = play("-server", "-async", *server, "-no-tls13", "-verify-peer", "-expect-peer-cert-file", certificates)
    context = asking()
    context.load_cert_chain(certificates, key)
    with context.wrap_socket(peer.accept(), server_hostname="test") as tls:
        assert tls.version() == "TLSv1.2"
        tls.sendall(b"abc")
        assert received(tls, 3) == inverted(b"abc")
        tls.unwrap()
    assert peer.end() == (0, "")


def test_a_server_resumes(play: Callable[..., Peer], authority: Authority, tmp_path: Path) -> None:
    for newest, flags_ in (ssl.TLSVersion.TLSv1_3, []), (ssl.TLSVersion.TLSv1_2, ["-async"]):
        peer = play("-server", *flags_, "-resume-count", "1", *files(authority.issue("test"), tmp_path))
        context = asking()
        context.maximum_version = newest
        session = None
        for number in range(2):
            with context.wrap_socket(peer.accept(), server_hostname="test", session=session) as tls:
                tls.sendall(b"abc")
                assert received(tls, 3) == inverted(b"abc")
                assert tls.session_reused == bool(number)
                session = tls.session
                tls.unwrap()
        assert peer.end() == (0, "")


@pytest.mark.parametrize("flag", [[], ["-async"]], ids=str)
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2], ids=str)
def test_a_client_resumes(
    play: Callable[..., Peer], authority: Authority, tmp_path: Path, newest: ssl.TLSVersion, flag: list[str]
) -> None:
    peer = play("-resume-count", "1", *flag)
    context = serving(authority.issue("test"), tmp_path)
    context.maximum_version = newest
    for number in range(2):
        with context.wrap_socket(peer.accept(), server_side=True) as tls:
            tls.sendall(b"abc")
            assert received(tls, 3) == inverted(b"abc")
            assert tls.session_reused == bool(number)
            tls.unwrap()
    assert peer.end() == (0, "")


def test_a_session_that_was_to_be_resumed_and_is_not(
    play: Callable[..., Peer], authority: Authority, tmp_path: Path
) -> None:
    peer = play("-server", "-resume-count", "1", *files(authority.issue("test"), tmp_path))
    for _ in range(2):
        with contextlib.suppress(ssl.SSLError), asking().wrap_socket(peer.accept(), server_hostname="test") as tls:
            tls.sendall(b"abc")
            assert tls.recv(3) in (inverted(b"abc"), b"")
            tls.unwrap()
    assert peer.end() == (90, "check failed: whether it was resumed is False, True is expected\n")


def test_a_peer_of_tls12_is_refused_where_the_flags_forbid_it(
    play: Callable[..., Peer], authority: Authority, tmp_path: Path
) -> None:
    for flag, code in ([], 0), (["-min-version", "772"], 1), (["-expect-version", "772"], 90):
        peer = play(*flag, "-shim-shuts-down")
        context = serving(authority.issue("test"), tmp_path)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        connection = peer.accept()
        with contextlib.suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)
        connection.close()
        assert peer.end()[0] == code


# --- configuration and report


def test_the_configuration_names_reasons_that_exist() -> None:
    config = json.loads(CONFIG.read_text())
    assert set(config) == {"DisabledTests", "ErrorMap", "HalfRTTTickets"}
    known = {f":{reason.name.upper()}:" for reason in vars(reasons).values() if isinstance(reason, reasons.Reason)}
    known |= {f":RECEIVED_{name}:" for name, value in vars(AlertDescription).items() if isinstance(value, int)}
    for error, ours in config["ErrorMap"].items():
        assert ours, f"{error} can never be matched"
        assert set(ours) <= known, f"{error}: {set(ours) - known}"
    assert all(reason.strip() for reason in config["DisabledTests"].values())


DISABLED = {"*DTLS*": "DTLS: another protocol", "V2*": "refused", "*TLS11": "TLS 1.1 and older: forbidden"}


def test_a_run_is_counted() -> None:
    names = ["A-TLS13", "B", "C-TLS12", "D-TLS13", "E-DTLS", "V2-DTLS", "V2Hello", "F-TLS11"]
    outcomes = {"A-TLS13": "PASS", "B": "FAIL", "C-TLS12": "SKIP", "D-TLS13": "PASS"}
    summary = report.summarize(names, outcomes, ["-on-resume-enable-early-data"], DISABLED)
    assert summary.all == 8
    assert summary.outcomes == {"TLS 1.3": {"PASS": 2}, "TLS 1.2": {"SKIP": 1}, "not named": {"FAIL": 1, "disabled": 1}}
    assert summary.disabled == {"refused": 1}
    assert summary.outside == {"DTLS: another protocol": 2, "TLS 1.1 and older: forbidden": 1}
    assert summary.missing == {"0-RTT": 1}
    assert "2 passed, 1 failed, 1 not implemented, 1 disabled, of 5 (40 % passed)" in report.as_text(summary)
    document = report.as_markdown(summary)
    assert "| version | passed | failed | not implemented | disabled | all |\n| --- | ---: |" in document
    assert "| TLS 1.3 | 2 | 0 | 0 | 0 | 2 |" in document
    assert "| **all** | 2 | 1 | 1 | 1 | 5 |" in document


def test_a_test_that_is_missing_without_a_reason_is_no_result() -> None:
    with pytest.raises(ValueError, match="nothing disables it"):
        report.summarize(["A"], {}, [], DISABLED)


@pytest.mark.parametrize(
    ("note", "feature"),
    [
        ("-on-resume-enable-early-data", "0-RTT"),
        ("resumption", "Resumption and tickets"),
        ("-renegotiate-ignore", "Renegotiation"),
        ("renegotiation", "Renegotiation"),
        ("-psk-importer-key", "Imported PSKs (RFC 9258)"),
        ("-psk-identity", "Cipher suites with pre-shared keys"),
        ("cipher suites 3DES", "Cipher suites with RSA key exchange, CBC or 3DES"),
        ("group 514", "ML-KEM without a curve"),
        ("-never-heard-of", "Something else"),
    ],
)
def test_what_is_missing_is_told_by_feature(note: str, feature: str) -> None:
    assert report.feature(note) == feature


# --- the runner itself


@pytest.mark.skipif("HANDFAST_BOGO_RUNNER" not in os.environ, reason="HANDFAST_BOGO_RUNNER names no runner")
@pytest.mark.timeout(300)
def test_the_runner_finds_nothing() -> None:
    patterns = "CurveTest-*-TLS13;*HelloRetryRequest*TLS13;TLS13-*;*-Sign-*-TLS1[23];*-Verify-*-TLS13;KeyUpdate*"
    results = Runner(Path(os.environ["HANDFAST_BOGO_RUNNER"])).run(patterns)
    assert not results.failures
    assert list(results.outcomes.values()).count("PASS") >= 100

"""Every way in which the server that has an issuer can fail. None hangs, and each says its reason."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from handfast import errors, reasons
from handfast.certificates import pem
from handfast.certificates.aia import IssuerCache
from handfast.errors import CertificateError, FetchFailed, UnknownIssuer
from handfast.limits import FETCH_ADDRESSES, FETCH_HEADERS, FETCH_URL
from handfast.testing import Authority
from handfast.transport import fetching_http
from tests.aia.farm import NOW, Missing, Site, answer, lacking, moved, points_to, site

SECONDS = 0.6  # what a fault that lasts gets
SLACK = 5.0  # a busy machine


def silent(peer: socket.socket, _: bytes) -> None:
    peer.recv(1)  # until we go


def drips(peer: socket.socket, _: bytes) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n")
    for _ in range(600):
        peer.sendall(b"0")
        time.sleep(0.05)


def drips_headers(peer: socket.socket, _: bytes) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(600):
        peer.sendall(b"X-%d: 1\r\n" % number)
        time.sleep(0.05)


def continues(peer: socket.socket, _: bytes) -> None:
    """Interim answers without end."""
    while True:
        peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def never_ends(peer: socket.socket, _: bytes) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/pkix-cert\r\n\r\n")
    while True:
        peer.sendall(bytes(65_536))


def endless_chunks(peer: socket.socket, _: bytes) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        peer.sendall(b"1000\r\n" + bytes(0x1000) + b"\r\n")


def endless_header(peer: socket.socket, _: bytes) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        peer.sendall(b"x" * 65_536)


def cut(peer: socket.socket, _: bytes) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n0\x82")


def cut_chunk(peer: socket.socket, _: bytes) -> None:
    peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0\x82")


def reset(peer: socket.socket, _: bytes) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def nothing(peer: socket.socket, _: bytes) -> None:
    """Close without a word."""


def ssh(peer: socket.socket, _: bytes) -> None:
    peer.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")


FAULTS: dict[str, tuple[Callable[[socket.socket, bytes], None], reasons.Reason]] = {
    "silent": (silent, reasons.FETCH_TIMEOUT),
    "a byte at a time": (drips, reasons.FETCH_TIMEOUT),
    "a header at a time": (drips_headers, reasons.FETCH_TIMEOUT),
    "interim answers": (continues, reasons.FETCH_TOO_LARGE),
    "huge, as announced": (answer(bytes(1 << 20)), reasons.FETCH_TOO_LARGE),
    "huge, and not announced": (never_ends, reasons.FETCH_TOO_LARGE),
    "huge, in chunks": (endless_chunks, reasons.FETCH_TOO_LARGE),
    "a huge header": (endless_header, reasons.FETCH_BAD_ANSWER),
    "cut": (cut, reasons.FETCH_CUT),
    "cut within a chunk": (cut_chunk, reasons.FETCH_CUT),
    "reset": (reset, reasons.FETCH_CUT),
    "closed": (nothing, reasons.FETCH_BAD_ANSWER),
    "no HTTP": (ssh, reasons.FETCH_BAD_ANSWER),
    "404": (answer(b"", None, "404 Not Found"), reasons.FETCH_STATUS),
    "500": (answer(b"oops", "text/plain", "500 Internal Server Error"), reasons.FETCH_STATUS),
    "206": (answer(b"0", None, "206 Partial Content"), reasons.FETCH_STATUS),
    "a page": (answer(b"<html>Log in first</html>", "text/html; charset=utf-8"), reasons.FETCH_TYPE),
    "compressed": (answer(b"\x1f\x8b", Content_Encoding="gzip"), reasons.FETCH_BAD_ANSWER),
    "garbage": (answer(b"garbage"), reasons.FETCH_NO_CERTIFICATE),
    "garbage in DER": (answer(b"0\x03\x02\x01\x05"), reasons.FETCH_NO_CERTIFICATE),
    "garbage in PEM": (
        answer(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        reasons.FETCH_NO_CERTIFICATE,
    ),
    "empty": (answer(b""), reasons.FETCH_NO_CERTIFICATE),
    "another certificate": (
        answer(Authority.create("another").intermediate("another").der),
        reasons.FETCH_NOT_THE_ISSUER,
    ),
    "moved to nowhere": (answer(b"", None, "302 Found"), reasons.FETCH_BAD_ANSWER),
    "moved to no address": (moved("http://[::1/issuer.der"), reasons.FETCH_BAD_ANSWER),
    "moved to https": (moved("https://example.com/issuer.der"), reasons.FETCH_NOT_HTTP),
    "moved to a file": (moved("file:///etc/passwd"), reasons.FETCH_NOT_HTTP),
    "moved to a private address": (moved("http://10.1.2.3/issuer.der"), reasons.FETCH_ADDRESS),
    "moved to the metadata of a cloud": (moved("http://169.254.169.254/latest/"), reasons.FETCH_ADDRESS),
    "moved in a circle": (moved("/again"), reasons.FETCH_REDIRECTS),
}


def refused(missing: Missing, **limits: Any) -> tuple[CertificateError, FetchFailed]:
    """The error, and why nothing was fetched at the last address."""
    verifier = missing.verifier(**limits)
    seen: list[Any] = []
    verifier._on_done = seen.append
    with pytest.raises(UnknownIssuer) as caught:
        verifier.verify_server(missing.chain, "localhost", NOW)
    failed = seen[0].attempts[-1].failed
    assert isinstance(failed, FetchFailed)
    assert failed.reason.sentence in str(caught.value)
    assert isinstance(caught.value, errors.MissingIntermediate)
    return caught.value, failed


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_and_takes_no_longer_than_is_allowed(name: str) -> None:
    talk, reason = FAULTS[name]
    began = time.monotonic()
    with site(_=talk) as here:
        error, failed = refused(lacking(here.url()), seconds=SECONDS)
    assert failed.reason is reason
    assert time.monotonic() - began < SECONDS + SLACK
    assert error.evidence["fetching"]


@pytest.mark.parametrize("name", ["silent", "a byte at a time", "404", "huge, and not announced"])
def test_a_fault_holds_no_event_loop(name: str) -> None:
    talk, reason = FAULTS[name]

    async def meet(missing: Missing) -> tuple[CertificateError, int]:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0.01)
                turns += 1

        beside = asyncio.create_task(turn())
        answered = missing.verifier(seconds=SECONDS).verify_server(missing.chain, "localhost", NOW)
        assert hasattr(answered, "__await__")
        with pytest.raises(UnknownIssuer) as caught:
            await answered
        beside.cancel()
        return caught.value, turns

    with site(_=talk) as here:
        error, turns = asyncio.run(meet(lacking(here.url())))
    assert reason.sentence in str(error)
    if reason is reasons.FETCH_TIMEOUT:
        assert turns >= 5


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    _, failed = refused(lacking(f"http://127.0.0.1:{port}/"))
    assert failed.reason is reasons.FETCH_UNREACHABLE
    assert failed.evidence["problem"] == "Connection refused"


def test_a_host_that_takes_no_connection_gets_its_time_and_no_more() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as held:
        address = listener.getsockname()
        for _ in range(8):  # fill its queue: the kernel then ignores who wants to come
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        began = time.monotonic()
        _, failed = refused(lacking(f"http://127.0.0.1:{address[1]}/"), seconds=SECONDS)
        assert failed.reason is reasons.FETCH_TIMEOUT
        assert time.monotonic() - began < SECONDS + SLACK


def test_a_name_that_is_nobody_s() -> None:
    _, failed = refused(lacking("http://no-such-host.invalid/issuer.der"), seconds=20.0)
    assert failed.reason is reasons.FETCH_NAME
    assert failed.evidence["host"] == "no-such-host.invalid"


def test_a_resolver_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(fetching_http.socket, "getaddrinfo", lambda *_, **__: never.wait(30))
    began = time.monotonic()
    try:
        _, failed = refused(lacking("http://slow.example/issuer.der"), seconds=SECONDS)
    finally:
        never.set()
    assert failed.reason is reasons.FETCH_TIMEOUT
    assert failed.evidence["problem"] == "no address of slow.example"
    assert time.monotonic() - began < SECONDS + SLACK


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://localhost/",
        "http://10.0.0.1/",
        "http://192.168.1.1:8080/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://100.64.0.1/",
    ],
)
def test_an_inner_address_is_never_connected_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: Any) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(fetching_http.socket, "socket", connect)
    error, failed = refused(lacking(url), networks=())
    assert failed.reason is reasons.FETCH_ADDRESS
    assert error.evidence["internal_address"] == failed.evidence["address"]
    assert f"(address: {failed.evidence['address']})" in str(error.evidence["fetching"])


def test_it_is_the_address_that_counts_and_not_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is asked for first, and an inner address later, is asked for once."""
    asked: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) > 1 else "10.9.9.9"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(fetching_http.socket, "getaddrinfo", resolve)
    _, failed = refused(lacking("http://rebinding.example/issuer.der"))
    assert (failed.reason, failed.evidence["address"], asked) == (
        reasons.FETCH_ADDRESS,
        "10.9.9.9",
        ["rebinding.example"],
    )


def test_of_several_addresses_those_that_are_allowed_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(_: str, port: int, **__: Any) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, ("10.9.9.9", port)), (*kind, ("127.0.0.2", port)), (*kind, ("127.0.0.1", port))]

    monkeypatch.setattr(fetching_http.socket, "getaddrinfo", resolve)
    with site() as here:
        missing = lacking(here.url(host="several.example"))
        here.talks["/issuer"] = answer(missing.missing[0])
        peer = missing.verifier().verify_server(missing.chain, "localhost", NOW)
    assert len(peer.path) == 3
    assert b"Host: several.example:" in here.requests[0]


@pytest.mark.parametrize("dead", [FETCH_ADDRESSES - 1, FETCH_ADDRESSES])
def test_of_many_addresses_of_a_host_only_the_first_are_tried(dead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(_: str, port: int, **__: Any) -> list[Any]:
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [*((*kind, (f"127.0.0.{number}", port)) for number in range(2, 2 + dead)), (*kind, ("127.0.0.1", port))]

    monkeypatch.setattr(fetching_http.socket, "getaddrinfo", resolve)
    with site() as here:
        missing = lacking(here.url(host="many.example"))
        here.talks["/issuer"] = answer(missing.missing[0])
        if dead < FETCH_ADDRESSES:
            assert missing.verifier().verify_server(missing.chain, "localhost", NOW)
        else:
            assert refused(missing)[1].reason is reasons.FETCH_UNREACHABLE


@pytest.mark.parametrize("port", [22, 25, 443, 1])
def test_a_port_of_another_protocol_is_never_connected_to(port: int) -> None:
    _, failed = refused(lacking(f"http://192.0.46.8:{port}/"), networks=())
    assert (failed.reason, failed.evidence["port"]) == (reasons.FETCH_PORT, port)


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost/",
        "ldap://ldap.example/cn=issuer?cACertificate",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "//127.0.0.1/",
        "http://",
        "http:///issuer.der",
        "http://user:password@127.0.0.1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
        "http://[::1/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX-Injected: 1",
        "http://127.0.0.1/" + "x" * 3000,
    ],
)
def test_an_address_that_is_none_for_http(url: str) -> None:
    _, failed = refused(lacking(url))
    assert failed.reason is reasons.FETCH_NOT_HTTP


# --- chains that would go on ------------------------------------------------------------------------------------------


@pytest.fixture
def here() -> Iterator[Site]:
    with site() as found:
        yield found


def test_an_address_has_a_longest_length(here: Site) -> None:
    path = "/" + "x" * (FETCH_URL - len(here.url("/")))
    missing = lacking(here.url(path))
    here.talks[path] = answer(missing.missing[0])
    assert missing.verifier().verify_server(missing.chain, "localhost", NOW)
    _, failed = refused(lacking(here.url(path + "x")))
    assert (failed.reason, failed.evidence["problem"]) == (reasons.FETCH_NOT_HTTP, "it has more than 2048 characters")


def test_headers_are_counted(here: Site) -> None:
    missing = lacking(here.url())
    body = missing.missing[0]

    def padded(count: int) -> Callable[[socket.socket, bytes], None]:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nX: ".encode()
        return lambda peer, _: peer.sendall(head + b"x" * (count - len(head) - 4) + b"\r\n\r\n" + body)

    here.talks["/issuer"] = padded(FETCH_HEADERS)
    assert missing.verifier(size=len(body)).verify_server(missing.chain, "localhost", NOW)
    here.talks["/issuer"] = padded(FETCH_HEADERS + 1)
    _, failed = refused(missing, size=len(body))
    assert (failed.reason, failed.evidence["allowed"]) == (reasons.FETCH_TOO_LARGE, FETCH_HEADERS + len(body))


def test_certificates_that_point_to_each_other_end_soon(here: Site) -> None:
    """Two authorities that have signed each other, and no root in sight."""
    # `one` is signed by `two` and `two` by `one`; each certificate says where the other one is.
    one, two = _circle(here)
    here.talks.update({"/one": answer(one.der), "/two": answer(two.der)})
    identity = one.issue("localhost", extensions=points_to(here.url("/one.der")), send_chain=False)
    missing = Missing(Authority.create("the root"), identity.chain, [])
    verifier = missing.verifier()
    with pytest.raises(UnknownIssuer) as caught:
        verifier.verify_server(missing.chain, "localhost", NOW)
    assert here.paths == ["/one.der", "/two.der"]
    assert len(caught.value.evidence["fetching"]) == 2  # type: ignore[arg-type]


def _circle(here: Site) -> tuple[Authority, Authority]:
    from handfast.testing.authority import certify, subject_of

    one, two = Authority.create("one"), Authority.create("two")

    def crossed(owner: Authority, issuer: Authority, url: str) -> Authority:
        own = {type(item.value): (item.value, item.critical) for item in owner.certificate.extensions}
        validity = (owner.certificate.not_valid_before_utc, owner.certificate.not_valid_after_utc)
        name = issuer.certificate.subject
        der = certify(
            owner.certificate.subject, owner.key.public_key(), name, issuer.key, {**own, **points_to(url)}, validity
        )
        return Authority((der, *issuer.chain), owner.key)

    assert subject_of("one") == one.certificate.subject
    return crossed(one, two, here.url("/two.der")), crossed(two, one, here.url("/one.der"))


def test_a_chain_that_grows_and_grows_ends_at_its_depth(here: Site) -> None:
    missing = lacking(here.url("/0.der"), above=tuple(here.url(f"/{number}.der") for number in range(1, 6)))
    here.talks.update({f"/{number}": answer(der) for number, der in enumerate(missing.missing)})
    error, failed = refused(missing, depth=3)
    assert (failed.reason, here.paths) == (reasons.FETCH_LIMIT, ["/0.der", "/1.der", "/2.der"])
    assert failed.evidence["allowed"] == "3 missing certificates, one above the other"
    assert error.evidence["position"] == f"fetched from {here.url('/2.der')}"
    assert missing.verifier(depth=6).verify_server(missing.chain, "localhost", NOW)


def test_addresses_without_end_end_at_their_number(here: Site) -> None:
    missing = lacking(*(here.url(f"/{number}.der") for number in range(50)))
    error, failed = refused(missing, fetches=2)
    assert (failed.reason, here.paths) == (reasons.FETCH_LIMIT, ["/0.der", "/1.der"])
    assert len(error.evidence["fetching"]) == 4  # type: ignore[arg-type]


def test_the_time_is_that_of_the_whole(here: Site) -> None:
    here.talks["/_"] = silent
    began = time.monotonic()
    _, failed = refused(lacking(*(here.url(f"/{number}.der") for number in range(4))), seconds=SECONDS)
    assert (failed.reason, here.paths) == (reasons.FETCH_TIMEOUT, ["/0.der"])
    assert time.monotonic() - began < SECONDS + SLACK


def test_the_redirects_are_counted(here: Site) -> None:
    missing = lacking(here.url("/a.der"))
    here.talks.update(
        {"/a": moved("/b.der"), "/b": moved(here.url("/c.der")), "/c": moved("d.der"), "/d": answer(missing.missing[0])}
    )
    _, failed = refused(missing, redirects=2)
    assert (failed.reason, here.paths) == (reasons.FETCH_REDIRECTS, ["/a.der", "/b.der", "/c.der"])
    assert missing.verifier(redirects=3).verify_server(missing.chain, "localhost", NOW)
    assert here.paths[3:] == ["/a.der", "/b.der", "/c.der", "/d.der"]


# --- what comes is a candidate, and no more -------------------------------------------------------------------------------


def test_a_root_that_is_fetched_is_not_trusted(here: Site) -> None:
    stranger = Authority.create("a stranger's root")
    identity = stranger.issue("localhost", extensions=points_to(here.url()))
    here.talks["/issuer"] = answer(stranger.der)
    _, failed = refused(Missing(Authority.create("the root"), identity.chain, []))
    assert failed.reason is reasons.FETCH_NOT_THE_ISSUER
    assert failed.evidence["problem"] == "it is a root, and roots that are not trusted here are not fetched"


def test_an_issuer_that_is_fetched_goes_through_all_checks(here: Site) -> None:
    from datetime import timedelta

    root = Authority.create("the root")
    expired = root.intermediate("expired", not_before=NOW - timedelta(9), not_after=NOW - timedelta(1))
    identity = expired.issue("localhost", extensions=points_to(here.url()), send_chain=False)
    here.talks["/issuer"] = answer(expired.der)
    verifier = Missing(root, identity.chain, []).verifier()
    with pytest.raises(errors.CertificateExpired) as caught:
        verifier.verify_server(identity.chain, "localhost", NOW)
    assert caught.value.certificate == expired.der
    assert caught.value.evidence["position"] == f"fetched from {here.url()}"


def test_a_name_that_does_not_match_is_not_worth_a_request(here: Site) -> None:
    missing = lacking(here.url())
    with pytest.raises(errors.CertificateNameMismatch):
        missing.verifier().verify_server(missing.chain, "another.example", NOW)
    assert here.paths == []


def test_a_forger_of_the_name_is_not_kept(here: Site) -> None:
    """An authority with the issuer's name and another key, and the right one behind it, in one answer."""
    missing = lacking(here.url())
    forger = Authority.create("the root").intermediate("the highest intermediate")
    here.talks["/issuer"] = answer(b"".join(map(pem.certificate, (forger.der, missing.missing[0]))))
    peer = missing.verifier().verify_server(missing.chain, "localhost", NOW)
    assert peer.path[1] == missing.missing[0]  # type: ignore[union-attr]
    here.talks["/issuer"] = answer(forger.der)
    _, failed = refused(missing)
    assert failed.evidence["problem"] == "it has another name or key"


def test_a_failure_is_remembered_for_a_while(here: Site) -> None:
    missing, cache = lacking(here.url()), IssuerCache()
    for _ in range(3):
        refused(missing, cache=cache)
    assert here.paths == ["/issuer.der"]


def test_clients_make_us_fetch_nothing(here: Site) -> None:
    root = Authority.create("the root")
    identity = root.intermediate("missing").issue(
        "spiffe://example/a", usage=["client"], extensions=points_to(here.url()), send_chain=False
    )
    with pytest.raises(UnknownIssuer):
        Missing(root, identity.chain, []).verifier().verify_client(identity.chain, NOW)
    assert here.paths == []

"""Small things that users and strangers write: addresses to fetch from, keys in tokens, lists of keys, names, requests."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import socket
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Self
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from fuzz import der, extensions, simple_rules, steps
from fuzz.credentials import CLOCK, SERVER_NAME, authority, authority_key
from fuzz.der import Element
from fuzz.steps import Step
from fuzz.target import Change, Target, check_refusal, may_refuse, must_not_refuse
from handfast.authority import names
from handfast.authority.issuer import Authority
from handfast.authority.requests import Request
from handfast.certificates import pem
from handfast.certificates.fetch_policy import FetchPolicy
from handfast.certificates.leaked import KeyList
from handfast.certificates.spiffe import AllowSpiffe, SpiffeId
from handfast.errors import ConfigurationError
from handfast.signers.uri import KeyUri
from handfast.testing.authority import alternative_names, subject_of
from handfast.transport import fetching_http

FETCH, WHERE, TOKEN, KNOWN, BADKEYS, SPIFFE, NAME, REQUEST, REQUEST_OTHERS = range(9)
"""What an input is, by its settings: what is fetched (see :class:`Network`); an address and a port; a pkcs11 URI; a list of
keys, of ours and of badkeys; a SPIFFE id, and a rule; a name, and a limit; a request, and one of which some is left out."""


def run(data: bytes) -> None:
    """The steps are the texts."""
    settings, held = steps.decode(data)
    with may_refuse():
        _RUNS[settings % len(_RUNS)](held)


def _text(held: list[Step], number: int) -> str:
    return held[number].content.decode("utf-8", "replace") if number < len(held) else ""


# --- addresses to fetch from --------------------------------------------------------------------------------------------

HOSTS, ANSWER = (
    1,
    2,
)  # steps behind the address: those that a name resolves to, four or sixteen bytes each; what a server says
_FAMILIES = {4: socket.AF_INET, 16: socket.AF_INET6}

# Nobody's, and everybody's own (RFC 6890, and what has been added since).
_PRIVATE = [
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/29",
        "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/127", "100::/64", "2001:db8::/32", "fc00::/7", "fe80::/9", "ff00::/8",
    )
]  # fmt: skip
_LEADS_TO_IPV4 = {"::ffff:0:0/96": 12, "64:ff9b::/96": 12, "2002::/16": 2}  # where the address of version 4 stands


def is_private(text: str) -> bool:
    """Whether a numeric address is one that a stranger has no business with."""
    found = ipaddress.ip_address(text)
    for network, at in _LEADS_TO_IPV4.items():
        if found in ipaddress.ip_network(network):
            return is_private(str(ipaddress.IPv4Address(found.packed[at : at + 4])))
    return any(found in network for network in _PRIVATE)


class Network:
    """In place of the module `socket`: a resolver and servers that say what the input has for them."""

    AF_INET, AF_INET6, SOCK_STREAM = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM

    def __init__(self, held: list[Step]) -> None:
        self._hosts = [step.content for step in held if step.kind % 3 == HOSTS]
        self.answers = [step.content for step in held if step.kind % 3 == ANSWER]
        self.connected: list[tuple[Any, ...]] = []
        self.requests: list[bytes] = []

    def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        """The next addresses of the input, or a failure."""
        packed = self._hosts.pop(0) if self._hosts else b""
        size = 16 if len(packed) % 16 == 0 else 4
        pieces = [packed[at : at + size] for at in range(0, len(packed) - size + 1, size)]
        if not pieces:
            raise socket.gaierror(socket.EAI_NONAME, "there is no such name")
        return [(_FAMILIES[size], self.SOCK_STREAM, 6, "", (str(ipaddress.ip_address(each)), port)) for each in pieces]

    def socket(self, family: int, kind: int) -> Plug:
        """One end of a connection."""
        assert (family, kind) in ((self.AF_INET, self.SOCK_STREAM), (self.AF_INET6, self.SOCK_STREAM))
        return Plug(self)


class Plug:
    """A socket of a :class:`Network`."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._sent = b""
        self._answer = b""
        self._address: tuple[Any, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def settimeout(self, seconds: float) -> None:
        """Nothing here takes time."""
        assert 0 < seconds < 60

    def connect(self, address: tuple[Any, ...]) -> None:
        """To a server that has an answer, or to nobody."""
        self._network.connected.append(address)
        self._address = address
        if not self._network.answers:
            raise ConnectionRefusedError(111, "Connection refused")
        self._answer = self._network.answers.pop(0)

    def getpeername(self) -> tuple[Any, ...]:
        """Where it leads."""
        return self._address

    def sendall(self, data: bytes) -> None:
        """Keep what is sent."""
        self._sent += data

    def recv_into(self, buffer: Any) -> int:
        """The answer in pieces."""
        size = min(len(buffer), len(self._answer), 700)
        buffer[:size] = self._answer[:size]
        self._answer = self._answer[size:]
        return size

    def close(self) -> None:
        """What was sent is a request, if anything was."""
        if self._sent:
            self._network.requests.append(self._sent)
        self._sent = b""


def run_fetch(held: list[Step]) -> None:
    """One request to a host at a time; none to a private address, or to a port where something else listens."""
    network, policy = Network(held[1:]), FetchPolicy(size=2_000)
    with mock.patch.object(fetching_http, "socket", network), may_refuse():
        content = fetching_http.get(_text(held, 0), policy, fetching_http.Deadline(policy.seconds))
        assert len(content.body) <= policy.size
        assert network.requests
    for address in network.connected:
        assert not is_private(address[0]), address
        assert address[1] == 80 or address[1] >= 1024
    assert len(network.requests) <= 1 + policy.redirects
    assert len(network.connected) <= 4 * (1 + policy.redirects)
    for request in network.requests:
        head, end, rest = request.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        assert re.fullmatch(rb"GET [!-~]+ HTTP/1\.1", first), first
        assert end
        assert rest == b""
        fields = [line.partition(b":")[0].lower() for line in lines]
        assert sorted(fields) == [b"accept", b"accept-encoding", b"connection", b"host", b"user-agent"], fields
        assert b"\n" not in b"".join(lines)


def run_where(held: list[Step]) -> None:
    """What is allowed is public."""
    text, port = _text(held, 0), int.from_bytes((held[1].content if len(held) > 1 else b"\0\x50")[:2])
    refused = FetchPolicy().why_not(text, port)
    if refused is not None:
        check_refusal(refused)
        return
    assert port == 80 or port >= 1024
    assert not is_private(text.partition("%")[0])


# --- keys ----------------------------------------------------------------------------------------------------------------

_PIN = re.compile(r"[?&]pin-value=([0-9A-Za-z]{6,})")


def run_token(held: list[Step]) -> None:
    """A PIN is never shown, and the URI that is shown is for the same key."""
    text = _text(held, 0)
    pins = [pin for pin in _PIN.findall(text) if text.count(pin) == 1]
    found, refused = None, None
    try:
        found = KeyUri.parse(text)
    except ConfigurationError as error:
        refused = error
    shown = (str(found), repr(found), str(refused), repr(refused and refused.evidence))
    assert not any(pin in each for pin in pins for each in shown), "a PIN is shown"
    if found is None:
        return
    with must_not_refuse():
        assert KeyUri.parse(str(found)).path == found.path
    assert "?" not in str(found)
    assert all(isinstance(found.text(name), str) for name in found.path)
    if "module-path" in found.query:
        with may_refuse():
            assert Path(found.module()).is_absolute()
    if not found.query.get("pin-source") or found.query["pin-source"].startswith(b"|"):  # else it would read a file
        pin = found.pin()
        assert (pin is None) == ("pin-value" not in found.query)


def _folder() -> Path:
    """Where the files are; it stays until the process ends."""
    return Path(_holder().name)


@cache
def _holder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="handfast-fuzz-")


def run_known(held: list[Step]) -> None:
    """What is read can be written and is the same, and each key in it is found."""
    path = _folder() / "known"
    path.write_bytes(b"".join(content for _, content in held))
    check_list(KeyList.load(path))


def run_badkeys(held: list[Step]) -> None:
    """The files of another program."""
    (_folder() / "badkeysdata.json").write_bytes(held[0].content if held else b"")
    (_folder() / "blocklist.dat").write_bytes(b"".join(content for _, content in held[1:]))
    check_list(KeyList.from_badkeys(_folder()))


def check_list(found: KeyList) -> None:
    """A list is the same when it is written and read."""
    records = [found._records[at : at + 16] for at in range(0, 16 * len(found), 16)]
    assert repr(found).isprintable()
    assert all(found.look_up(record[:15]) is not None for record in records)
    assert found.look_up(hashlib.sha256(found._records).digest()[:15]) is None
    path = _folder() / "again"
    with must_not_refuse():
        twice = found + found
        assert len(twice) <= 2 * len(found)
        assert all(twice.look_up(record[:15]) is not None for record in records)
        found.write(path)
        assert KeyList.load(path).fingerprint == found.fingerprint


# --- names -------------------------------------------------------------------------------------------------------------

_ID = re.compile(r"[sS][pP][iI][fF][fF][eE]://([a-z0-9._-]{1,255})((?:/[A-Za-z0-9._-]+)*)")


def run_spiffe(held: list[Step]) -> None:
    """An id is what the standard has for one, and a rule allows what is below it."""
    text, rule = _text(held, 0), _text(held, 1)
    found = _ID.fullmatch(text)
    good = found and len(text) <= 2048 and not {".", ".."} & set(found[2].split("/"))
    try:
        name = SpiffeId.parse(text)
    except ValueError:
        assert not good
        return
    assert found
    assert good
    assert (name.trust_domain, name.path) == (found[1], found[2])
    assert SpiffeId.parse(str(name)) == name
    allowed = AllowSpiffe(rule).allows(name)
    wanted = "spiffe" + rule[6:]
    below = wanted.endswith("/*") and str(name).startswith(wanted[:-1])
    assert allowed == (below or str(name) == wanted)


def run_name(held: list[Step]) -> None:
    """A name that an authority issues has one form, and its limits hold what they say."""
    limit = names.Limits.of([_text(held, 1)]) if len(held) > 1 else None
    name = names.general_name(_text(held, 0))
    with must_not_refuse():
        assert names.general_name(names.text_of(name)) == name
    assert x509.SubjectAlternativeName([name]).public_bytes()
    if limit is not None:
        assert limit.extension() is not None
        limit.check([name])
        if isinstance(name, x509.DNSName):
            assert f".{name.value}".endswith(f".{limit.permitted[0]}")


# --- requests -------------------------------------------------------------------------------------------------------------

_NAMED = f"www.{SERVER_NAME}"
_ALLOWED = (SERVER_NAME, "192.0.2.0/24")


def run_request(held: list[Step], *, drop_others: bool = False) -> None:
    """What is certified is a key that somebody has, and names that are allowed."""
    data = signed_request(held[0].content if held else b"")
    request = Request(data)
    assert all(isinstance(each, str) for each in (request.subject, *request.left_out))
    der_of, *_ = _authority().sign(request, _NAMED, allow=_ALLOWED, drop_others=drop_others)
    made = simple_rules.simple(der_of)
    assert made.key in data or pem.is_pem(data)
    assert made.key != extensions.LEAKED
    assert simple_rules.is_named(made, _NAMED)
    for name in made.names:
        if name.tag == extensions.ADDRESS:
            assert name.content[:3] == bytes((192, 0, 2))
            assert len(name.content) == 4
        else:
            assert name.tag == extensions.DNS
            assert re.fullmatch(rb"([a-z0-9-]+\.)*server\.example", name.content)
    basic = made.inside(extensions.BASIC_CONSTRAINTS)
    assert not any(each.tag == extensions.BOOLEAN for each in basic or ())
    assert [each.content for each in made.inside(extensions.EXTENDED_KEY_USAGE) or ()] == [extensions.SERVER_AUTH]
    simple_rules.check_path(
        (der_of, authority("root", "root")), {authority("root", "root")}, CLOCK.wall(), "server", relaxed=False
    )


def run_request_others(held: list[Step]) -> None:
    """The same where names that are not allowed are left out."""
    run_request(held, drop_others=True)


@cache
def _authority() -> Authority:
    return Authority((authority("root", "root"),), authority_key("root"), clock=CLOCK)


def signed_request(request: bytes) -> bytes:
    """The request with a signature of its key, which is that of "second"; as it is where it has not the three parts of one."""
    tree = der.elements(request)
    if not tree or not tree[0].inner or len(tree[0].inner) != 3:
        return request
    tbs, _, signature = tree[0].inner
    signed = authority_key("second").sign(tbs.encode(), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    tree[0].inner[2] = Element(signature.tag, b"\0" + signed)
    tree[0].inner[2].inner = None
    return tree[0].encode()


_RUNS: tuple[Callable[[list[Step]], None], ...] = (
    run_fetch, run_where, run_token, run_known, run_badkeys, run_spiffe, run_name, run_request, run_request_others,
)  # fmt: skip


# --- seeds ---------------------------------------------------------------------------------------------------------------


def _request(*texts: str, more: bool = False) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject_of(SERVER_NAME))
    builder = builder.add_extension(alternative_names(*texts), critical=False)
    if more:
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
    made = builder.sign(authority_key("second"), hashes.SHA256(), ecdsa_deterministic=True)
    return made.public_bytes(Encoding.DER)


_KEYS = b"".join(bytes((number,)) * 15 + b"\1" for number in range(1, 4))
_PKCS11 = (
    "pkcs11:token=The%20Software%20PKCS%2311;object=my-key;type=private;id=%69%95?pin-value=314159265&module-name=softhsm2",
    "pkcs11:serial=0a;slot-id=3;library-version=3?pin-source=|/bin/pin&module-path=/usr/lib/none.so&x-vendor=1",
    "PKCS11:",
)
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/pkix-cert\r\nContent-Length: 4\r\n\r\n0\x02\5\0"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0\x02\5\0\r\n0\r\n\r\n"
_MOVED = b"HTTP/1.1 302 Found\r\nLocation: http://[2606:4700::1]:8080/a?b\r\n\r\n"
_PUBLIC, _PUBLIC_6 = bytes((93, 184, 216, 34)), ipaddress.ip_address("2606:4700::1").packed


def _seeds() -> Mapping[str, bytes]:
    def of(kind: int, *contents: bytes | str, kinds: tuple[int, ...] = ()) -> bytes:
        whole = [each.encode() if isinstance(each, str) else each for each in contents]
        return steps.encode(kind, [Step(kinds[n] if n < len(kinds) else 0, each) for n, each in enumerate(whole)])

    def fetched(url: str, *answers: bytes, hosts: bytes = _PUBLIC) -> bytes:
        return of(FETCH, url, hosts, *answers, kinds=(0, HOSTS, *(ANSWER for _ in answers)))

    about = {"blocklists": [{"id": 1, "name": "debianssl"}, {"id": 2, "name": "others"}]}
    return {
        "fetch": fetched("http://authority.example/issuer.der", _ANSWER),
        "fetch-chunked": fetched("http://authority.example:8080/issuer.der?a=b", _CHUNKED),
        "fetch-moved": fetched("http://93.184.216.34/", _MOVED, _ANSWER),
        "fetch-private": fetched("http://localhost/", _ANSWER, hosts=_PUBLIC_6 + bytes(15) + b"\1"),
        "fetch-directory": fetched("ldap:///cn=a", _ANSWER),
        "where": of(WHERE, "93.184.216.34"),
        "where-6": of(WHERE, "2606:4700::1%eth0", b"\x1f\x90"),
        "where-mapped": of(WHERE, "::ffff:10.0.0.1", b"\0\x16"),
        "where-nat64": of(WHERE, "64:ff9b::7f00:1"),
        **{f"token-{number}": of(TOKEN, text) for number, text in enumerate(_PKCS11)},
        "known": of(KNOWN, b"handfast known keys 1\n1 leaked RFC 9500\n2 debian of 2006\n\n", _KEYS),
        "badkeys": of(BADKEYS, json.dumps(about), _KEYS),
        "spiffe": of(SPIFFE, "spiffe://example.org/ns/web", "spiffe://example.org/ns/*"),
        "spiffe-other": of(SPIFFE, "spiffe://example.org/ns/web/a", "spiffe://example.org/*"),
        **{f"name-{n}": of(NAME, text, limit) for n, (text, limit) in enumerate(_NAMES)},
        "request": of(REQUEST, _request(SERVER_NAME, "192.0.2.7")),
        "request-pem": of(REQUEST, pem.block("CERTIFICATE REQUEST", _request(SERVER_NAME))),
        "request-others": of(REQUEST_OTHERS, _request(f"*.{SERVER_NAME}", "other.invalid", "10.0.0.1", more=True)),
    }


_NAMES = (
    ("*.a.example.com", "example.com"),
    ("[2001:db8::1]", "2001:db8::/32"),
    ("alice@example.com", ".example.com"),
    ("uri:https://example.com/id", "example.com"),
    ("dns:bücher.example", "example"),
)


def _inside(step: Step, limit: int, random: Random, change: Change) -> Step:
    content = step.content
    tree = der.elements(content) if len(content) > 64 and content[:1] == b"0" else None
    if not tree or random.random() < 0.3:
        return Step(step.kind, der.mutated(content, limit, random, change) if tree else change(content or b"\0", limit))
    fields = tree[0].inner[0].inner or [] if tree[0].inner else []
    wanted = fields[-1] if fields else None
    while wanted and wanted.inner and not (wanted.tag == 0x30 and wanted.inner[0].tag == 0x30):
        wanted = wanted.inner[-1]
    if random.random() < 0.2 and len(fields) > 2:
        fields[2] = (der.elements(random.choice(extensions.keys())) or fields)[0]
    elif wanted and wanted.inner:
        one = der.elements(extensions.extension(random, random.choice((None, extensions.ALTERNATIVE_NAME)))) or []
        at = random.randrange(len(wanted.inner))
        wanted.inner[at : at + random.choice((0, 1))] = one
    result = tree[0].encode()
    return Step(step.kind, result if len(result) <= limit else content[:limit])


_STOCK = [
    Step(HOSTS, _PUBLIC), Step(HOSTS, bytes((127, 0, 0, 1))), Step(HOSTS, _PUBLIC_6), Step(ANSWER, _ANSWER), Step(ANSWER, _MOVED),
    Step(ANSWER, _CHUNKED), Step(0, b"&pin-value=271828"),
]  # fmt: skip

TARGETS = [Target("small_texts", run, _seeds, steps.mutator(_inside, _STOCK, len(_RUNS)))]

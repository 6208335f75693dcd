"""The targets for certificates can fail: each of the things that they hold is broken once, and they say so."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from fuzz import der, extensions, steps
from fuzz.extensions import element
from fuzz.targets import TARGETS, checks, small_texts
from fuzz.targets.checks import CLIENT, SERVER, UNNAMED
from handfast.authority import names, requests
from handfast.certificates import aia, examined, fetch_policy, pem, policy, rounds
from handfast.certificates.aia import Completion
from handfast.certificates.identity import LocalSigner
from handfast.certificates.leaked import KeyList
from handfast.certificates.parsed import parsed
from handfast.certificates.rules import findings
from handfast.certificates.spiffe import AllowSpiffe, SpiffeId
from handfast.errors import CertificateError, ConfigurationError
from handfast.signers.uri import KeyUri


def seed(target: str, name: str) -> bytes:
    """An honest input."""
    return TARGETS[target].seeds()[name]


def accept_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "check", lambda *arguments: None)
    monkeypatch.setattr(policy, "_is_exempt", lambda way: True)
    monkeypatch.setattr(AllowSpiffe, "check", lambda *arguments: None)


def changed(settings: int, identifier: bytes, value: bytes, at: int = 0, *, critical: bool = False) -> bytes:
    """An honest chain in which one certificate has this extension in place of its own, or besides."""
    _, chain = steps.decode(seed("checks", "good"))
    found = extensions.parts(chain[at].content)
    assert found is not None
    outer, _, held = found
    held[:] = [each for each in held if (each.inner or [])[0].content != identifier]
    mark = element(0x01, b"\xff") if critical else b""
    held.extend(der.elements(element(0x30, element(0x06, identifier), mark, element(0x04, value))) or [])
    chain[at] = chain[at]._replace(content=outer[0].encode())
    return steps.encode(settings, chain)


NOTHING = element(0x30)
ELSEWHERE = element(0x30, element(0x06, bytes.fromhex("2b06010505070304")))
SERVERS = element(0x30, element(0x06, extensions.SERVER_AUTH))
EXCLUDED = element(0x30, element(0xA1, element(0x30, element(0x82, b"example"))))
KEY_ENCIPHERMENT, SIGNATURE = b"\x03\x02\x05\x20", b"\x03\x02\x07\x80"
POLICY_CONSTRAINTS = bytes.fromhex("551d24")

BROKEN_CHAINS: dict[str, tuple[tuple[Any, ...], bool]] = {
    "it is for another name": ((SERVER, extensions.ALTERNATIVE_NAME, NOTHING), False),
    "it is for something else": ((CLIENT, extensions.EXTENDED_KEY_USAGE, ELSEWHERE), False),
    "it may not sign": ((UNNAMED, extensions.KEY_USAGE, KEY_ENCIPHERMENT), False),
    "it may not issue": ((CLIENT, extensions.KEY_USAGE, SIGNATURE, 1), False),
    "it is no authority": ((SERVER, extensions.BASIC_CONSTRAINTS, NOTHING, 1), False),
    "it has a name that it may not have": ((SERVER, extensions.NAME_CONSTRAINTS, EXCLUDED, 1), False),
    "what is critical is not understood": ((SERVER, POLICY_CONSTRAINTS, element(0x30, element(0x80, b"\0"))), True),
    "cryptography refuses it": ((SERVER, extensions.EXTENDED_KEY_USAGE, SERVERS), True),
}


@pytest.mark.parametrize("says", BROKEN_CHAINS)
def test_a_broken_chain_that_is_accepted_is_a_finding(says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments, critical = BROKEN_CHAINS[says]
    chain = changed(*arguments, critical=critical)
    TARGETS["checks"].run(chain)
    accept_everything(monkeypatch)
    with pytest.raises(AssertionError, match=says):
        TARGETS["checks"].run(chain)


def test_a_forged_chain_that_is_accepted_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, (leaf, issuer) = steps.decode(seed("checks", "good"))
    forged = leaf._replace(kind=checks.SECOND)
    chain = steps.encode(settings, [forged, issuer])
    TARGETS["checks"].run(chain)
    accept_everything(monkeypatch)
    with pytest.raises(InvalidSignature):
        TARGETS["checks"].run(chain)


def test_a_leaked_key_that_is_accepted_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, (leaf, issuer) = steps.decode(seed("checks", "good"))
    found = extensions.parts(leaf.content)
    assert found is not None
    outer, fields, _ = found
    fields[6] = (der.elements(extensions.LEAKED) or [])[0]
    chain = steps.encode(settings, [leaf._replace(content=outer[0].encode()), issuer])
    TARGETS["checks"].run(chain)
    monkeypatch.setattr(KeyList, "find", lambda *arguments: None)
    with pytest.raises(AssertionError, match="everybody has its key"):
        TARGETS["checks"].run(chain)


def test_a_service_that_is_accepted_and_not_allowed_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    _, chain = steps.decode(seed("checks", "good-unnamed"))
    without = steps.encode(UNNAMED | checks.SPIFFE, chain)
    TARGETS["checks"].run(without)
    monkeypatch.setattr(AllowSpiffe, "check", lambda *arguments: None)
    with pytest.raises(AssertionError):
        TARGETS["checks"].run(without)


def test_a_chain_that_takes_too_long_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "SECONDS", 0.0)
    with pytest.raises(AssertionError, match="too long"):
        TARGETS["checks"].run(seed("checks", "good"))


def test_what_the_rules_say_of_another_certificate_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if an outline left out more than it may: see certificates/alike.py."""
    _, chain = steps.decode(seed("checks", "good"))
    leaf, issuer = (parsed(each.content) for each in chain)
    run = TARGETS["certificate_facts"].run
    run(leaf.der)
    monkeypatch.setitem(leaf.notes, ("leaf", "server"), findings(issuer, "leaf"))
    with pytest.raises(AssertionError, match="another's findings"):
        run(leaf.der)


def test_a_check_that_says_other_things_than_the_verdict_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise CertificateError

    monkeypatch.setattr(examined, "check_usage", refuse)
    with pytest.raises(AssertionError, match="a check refuses it"):
        TARGETS["checks"].run(seed("checks", "good"))


def test_an_issuer_that_is_asked_for_in_another_way_than_http_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def attempt(self: Completion, url: str, last: Any) -> Any:
        return (yield aia.Fetch(f"ldap:{url}"))

    monkeypatch.setattr(Completion, "_attempt", attempt)
    with pytest.raises(AssertionError, match="something else than http"):
        TARGETS["checks"].run(seed("checks", "good-fetched"))


CONTAINERS = {
    "trust-aux": (pem, "_distrust", lambda behind: ""),
    "trust": (pem, "_decoded", lambda body: b"0\0"),
    "certificates": (pem, "certificate", lambda der_of: b""),
    "identity": (LocalSigner, "sign", lambda *arguments: bytes(64)),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_what_is_in_a_container_and_is_not_found_is_a_finding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = seed("containers", name)
    TARGETS["containers"].run(data)
    monkeypatch.setattr(*CONTAINERS[name])
    with pytest.raises(AssertionError):
        TARGETS["containers"].run(data)


def test_what_says_how_long_it_takes_is_refused_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    check = rounds.check
    refused: list[object] = []

    def watched(data: bytes, source: str) -> None:
        try:
            check(data, source)
        except ConfigurationError as error:
            refused.append(error.evidence["rounds"])
            raise

    monkeypatch.setattr(rounds, "check", watched)
    TARGETS["containers"].run(seed("containers", "identity-costly"))
    assert refused == ["2,147,483,647"]


def test_a_key_behind_a_password_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LocalSigner, "sign", lambda *arguments: bytes(64))
    with pytest.raises(AssertionError):
        TARGETS["containers"].run(seed("containers", "identity-locked"))


TEXTS = {
    "fetch-private-alone": (fetch_policy, "_is_public", lambda address: True),
    "where-mapped": (fetch_policy.FetchPolicy, "why_not", lambda *arguments: None),
    "token-0": (KeyUri, "__str__", lambda self: f"pkcs11:?pin-value={self.query['pin-value'].decode()}"),
    "known": (KeyList, "write", lambda self, path: path.write_bytes(b"")),
    "badkeys": (KeyList, "look_up", lambda self, key: None),
    "spiffe": (SpiffeId, "parse", classmethod(lambda cls, text: cls("example.org", "/other"))),
    "name-0": (names, "text_of", lambda name: ".."),
    "request-others": (names, "covers", lambda limit, name, part=False: True),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_small_text_that_does_harm_is_a_finding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = steps.Step(small_texts.HOSTS, bytes((127, 0, 0, 1)))
    private = steps.encode(small_texts.FETCH, [steps.Step(0, b"http://localhost/"), here])
    data = private if name == "fetch-private-alone" else seed("small_texts", name)
    TARGETS["small_texts"].run(data)
    monkeypatch.setattr(*TEXTS[name])
    if name == "request-others":
        monkeypatch.setattr(requests, "_is_plain_host", lambda name: True)
    with pytest.raises(AssertionError):
        TARGETS["small_texts"].run(data)

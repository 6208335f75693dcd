"""What a verifier remembers: that it has accepted a chain, and never longer or for more than that."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from handfast import CertificateError, limits
from handfast.certificates import policy
from handfast.certificates.parsed import parsed
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.testing import Authority

NAME = "server.example"
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create()


@pytest.fixture
def parsings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever a chain is looked at in earnest."""
    seen: list[int] = []
    original = policy._parse_all

    def counted(chain: tuple[bytes, ...]) -> object:
        seen.append(len(chain))
        return original(chain)

    monkeypatch.setattr(policy, "_parse_all", counted)
    return seen


def test_a_chain_is_verified_once(authority: Authority, parsings: list[int]) -> None:
    verifier, chain = ChainVerifier(authority.trust), authority.issue(NAME).chain
    first = verifier.verify_server(chain, NAME, NOW)
    again = verifier.verify_server(list(chain), NAME, NOW)
    assert (again.chain, again.path, again.server_name) == (first.chain, first.path, NAME)
    assert len(parsings) == 1


def test_another_name_is_verified_anew(authority: Authority, parsings: list[int]) -> None:
    verifier, chain = ChainVerifier(authority.trust), authority.issue(NAME, "other.example").chain
    verifier.verify_server(chain, NAME, NOW)
    assert verifier.verify_server(chain, "other.example", NOW).server_name == "other.example"
    with pytest.raises(CertificateError):
        verifier.verify_server(chain, "third.example", NOW)
    assert len(parsings) == 3


def test_a_server_s_chain_says_nothing_about_a_client(authority: Authority) -> None:
    verifier, chain = ChainVerifier(authority.trust), authority.issue(NAME).chain
    verifier.verify_server(chain, NAME, NOW)
    with pytest.raises(CertificateError):
        verifier.verify_client(chain, NOW)


def test_a_chain_with_one_byte_changed_is_another_one(authority: Authority) -> None:
    verifier, chain = ChainVerifier(authority.trust), authority.issue(NAME).chain
    verifier.verify_server(chain, NAME, NOW)
    changed = bytearray(chain[0])
    changed[-1] ^= 1
    with pytest.raises(CertificateError):
        verifier.verify_server((bytes(changed), *chain[1:]), NAME, NOW)


def test_what_has_expired_is_refused_whenever_it_was_accepted(authority: Authority) -> None:
    issued = authority.issue(NAME, not_before=NOW - timedelta(hours=1), not_after=NOW + timedelta(hours=1))
    verifier = ChainVerifier(authority.trust)
    verifier.verify_server(issued.chain, NAME, NOW)
    for wrong in (NOW + timedelta(hours=2), NOW - timedelta(hours=2)):  # a clock may be set back, too
        with pytest.raises(CertificateError):
            verifier.verify_server(issued.chain, NAME, wrong)
    verifier.verify_server(issued.chain, NAME, NOW)


def test_what_is_built_for_one_second_and_name_serves_no_other(authority: Authority) -> None:
    """The verifier of `cryptography` keeps its time and name, and the last one that was built is used again."""
    issued = authority.issue(NAME, not_before=NOW - timedelta(hours=1), not_after=NOW + timedelta(hours=1))
    verifier, sent = ChainVerifier(authority.trust), [parsed(der) for der in issued.chain]
    late = NOW + timedelta(hours=2)
    for _ in range(2):
        assert verifier._verdict(sent, "server", NAME, NOW) is not None
        assert verifier._verdict(sent, "server", "other.example", NOW) is None
        assert verifier._verdict(sent, "server", None, NOW) is not None
        assert verifier._verdict(sent, "server", None, late) is None
        assert verifier._verdict(sent, "client", None, NOW) is None
        assert verifier._verdict(sent, "server", NAME, late) is None


def test_a_refusal_is_not_remembered(authority: Authority, parsings: list[int]) -> None:
    verifier, chain = ChainVerifier(authority.trust), authority.issue(NAME).chain
    for _ in range(2):
        with pytest.raises(CertificateError):
            verifier.verify_server(chain, "other.example", NOW)
    assert len(parsings) == 2
    assert not len(verifier._accepted)


def test_verifiers_remember_nothing_of_each_other(authority: Authority) -> None:
    chain = authority.issue(NAME).chain
    ChainVerifier(authority.trust).verify_server(chain, NAME, NOW)
    with pytest.raises(CertificateError):
        ChainVerifier(Authority.create().trust).verify_server(chain, NAME, NOW)


def test_remembering_can_be_turned_off(authority: Authority, parsings: list[int]) -> None:
    verifier, chain = ChainVerifier(authority.trust, remember=0), authority.issue(NAME).chain
    for _ in range(3):
        verifier.verify_server(chain, NAME, NOW)
    assert len(parsings) == 3


def test_no_more_are_remembered_than_the_limit(authority: Authority) -> None:
    chain = authority.issue("*.many.example").chain
    verifier = ChainVerifier(authority.trust)
    assert verifier._accepted._size == limits.ACCEPTED_CHAINS
    for number in range(limits.ACCEPTED_CHAINS + 10):
        verifier.verify_server(chain, f"{number}.many.example", NOW)
    assert len(verifier._accepted) == limits.ACCEPTED_CHAINS


def test_a_long_chain_is_not_remembered(authority: Authority) -> None:
    issued, unused = authority.issue(NAME), authority.issue("unused.example", key="rsa2048")
    chain = (*issued.chain, *([unused.chain[0]] * 14))
    verifier = ChainVerifier(authority.trust)
    length = sum(map(len, chain))
    assert length < limits.ACCEPTED_CHAIN
    verifier.verify_server(chain, NAME, NOW)
    assert len(verifier._accepted) == 1
    verifier._accepted._found.clear()
    padded = authority.issue(NAME, *(f"{number:050}.example" for number in range(limits.ACCEPTED_CHAIN // 50)))
    assert sum(map(len, padded.chain)) > limits.ACCEPTED_CHAIN
    verifier.verify_server(padded.chain, NAME, NOW)
    assert not len(verifier._accepted)


def test_threads_share_a_verifier(authority: Authority) -> None:
    chain = authority.issue("*.many.example").chain
    verifier = ChainVerifier(authority.trust, remember=3)
    failures: list[Exception] = []

    def verify(start: int) -> None:
        try:
            for number in range(start, start + 100):
                name = f"{number % 7}.many.example"
                assert verifier.verify_server(chain, name, NOW).server_name == name
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=verify, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(verifier._accepted) <= 3


def test_who_was_accepted_is_not_changed_by_whoever_gets_it(authority: Authority) -> None:
    """It is remembered, so it is the same object for the next connection."""
    verifier, chain = ChainVerifier(authority.trust), authority.issue(NAME).chain
    peer = verifier.verify_server(chain, NAME, NOW)
    for name in ("chain", "path", "server_name", "verified_by", "_leaf"):
        with pytest.raises(AttributeError, match="never changes"):
            setattr(peer, name, None)
    assert verifier.verify_server(chain, NAME, NOW).server_name == NAME


def test_a_verifier_does_not_come_to_trust_others(authority: Authority) -> None:
    """What it has accepted, and the sessions that stand on it, would go on by what was asked before."""
    verifier, other = ChainVerifier(authority.trust), ChainVerifier(Authority.create().trust, Policy(depth=0))
    for name in ("trust", "policy"):
        with pytest.raises(AttributeError, match="make another verifier"):
            setattr(verifier, name, getattr(other, name))

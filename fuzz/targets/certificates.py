"""Certificates: the facts in one, names, and the verdict on a chain."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from random import Random
from typing import get_args

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from fuzz import der, steps
from fuzz.credentials import NOW, SERVER_NAME, authority, authority_key, leaf, rsa_leaf, trust
from fuzz.steps import Step
from fuzz.target import Change, Target, check_refusal, may_refuse
from handfast.certificates import names, strength
from handfast.certificates.alike import Alike
from handfast.certificates.parsed import Parsed, parsed
from handfast.certificates.peer import PeerIdentity
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.rules import Role, Rule, findings
from handfast.certificates.usages import Purpose
from handfast.errors import TLSError, shown

# --- the facts in one certificate


def run_certificate(data: bytes) -> None:
    """Every fact of a certificate can be asked for, once it has parsed."""
    with may_refuse():
        certificate = parsed(data)
        check_read(certificate)
        check_facts(certificate)
        certificate.check_names()


def check_facts(certificate: Parsed) -> None:
    """All that trust decisions, errors and the command line ask of a certificate."""
    for raw in certificate.raw:
        assert raw in certificate.der
    said = (
        certificate.subject,
        certificate.issuer,
        certificate.organization,
        certificate.common_name,
        certificate.owner,
        certificate.issuer_address,
        *certificate.alternative_names,
        *certificate.names.texts,
        strength.weak_key(certificate),
        strength.unusable_key(certificate),
        strength.weak_signature(certificate),
    )
    assert all(shown(each).isprintable() for each in said)
    _ = certificate.critical, certificate.has_issuer, certificate.has_subject
    assert certificate.may_be_issued_by(certificate) in (True, False)
    assert (SERVER_NAME in certificate.names) in (True, False)
    findings(certificate, "leaf")
    findings(certificate, "issuer")


def check_read(certificate: Parsed) -> None:
    """What is read of a certificate is what stands in it, whichever others have been read before: see its `alike`."""
    fresh = x509.load_der_x509_certificate(certificate.der)
    found = list(fresh.extensions)  # what cannot be read has been refused
    for extension in found:
        kind = type(extension.value)
        if kind is not x509.UnrecognizedExtension:
            assert certificate.extension(kind) == extension.value
            assert certificate.is_critical(kind) == extension.critical
    assert tuple(certificate.critical) == tuple(each.oid for each in found if each.critical)
    of_kind = [each.value for each in found if isinstance(each.value, x509.SubjectAlternativeName)]
    dns = [name.lower() for names_of in of_kind for name in names_of.get_values_for_type(x509.DNSName)]
    assert list(certificate.names.texts[: len(dns)]) == dns
    assert len(certificate.names.texts) == len(dns) + len(certificate.addresses)
    check_findings(certificate, Parsed(certificate.der, fresh))


def check_findings(certificate: Parsed, alone: Parsed) -> None:
    """What the rules say of it is what they say of the same one where nothing is shared with any other."""
    alone.alike = Alike()
    alone._extensions = alone.alike.read(alone.certificate)
    for role in get_args(Role):
        for purpose in get_args(Purpose):
            assert findings(certificate, role, purpose) == findings(alone, role, purpose), "another's findings"


# --- names


def run_name(data: bytes) -> None:
    """A name that is accepted is in its one form, and is found in a certificate for it."""
    text = data.decode("utf-8", "replace")
    names.NameSet([text], [names.address(text)])
    with may_refuse():
        name = names.normalized(text)
        assert names.normalized(name) == name
        assert name.isascii()
        assert name == name.lower()
        assert len(name) <= 253
        assert name in names.NameSet([name.upper()], [names.address(name)])
        sent = names.server_name_indication(name)
        assert sent in (None, name)
        assert (sent is None) == (names.address(name) is not None)
        wildcard = names.NameSet(["*." + name], [])
        assert name not in wildcard
        assert f"a.b.{name}" not in wildcard


def _name_seeds() -> Mapping[str, bytes]:
    texts = (
        "example.com",
        "EXAMPLE.com.",
        "192.0.2.1",
        "[2001:db8::1%eth0]",
        "bücher.example",
        "xn--bcher-kva.example",
    )
    odd = ("1.2.3", "0x7f000001", "a..b", "-a.b", "*.example.com", "faß.de", "\uff11.\uff12", "a\u3002b", "")
    return {f"name-{number}": text.encode("utf-8") for number, text in enumerate((*texts, *odd))}


# --- chains

RESIGN_LEAF, RESIGN_ISSUER, RELAXED, OF_CLIENT = 1, 2, 4, 8
_VERIFIER = ChainVerifier(trust())
_RELAXED = ChainVerifier(trust(), Policy(relax=list(Rule)))


def run_chain(data: bytes) -> None:
    """The certificates of a chain; the settings say which are signed again after their change, and by which policy
    they are judged, as a server's or as a client's."""
    settings, chain = steps.decode(data)
    ders = [content for _, content in chain[:20]]
    for bit, position, signer in ((RESIGN_LEAF, 0, "intermediate"), (RESIGN_ISSUER, 1, "root")):
        if settings & bit and len(ders) > position:
            ders[position] = signed_again(ders[position], signer)
    verifier = _RELAXED if settings & RELAXED else _VERIFIER
    name = None if settings & OF_CLIENT else SERVER_NAME
    with may_refuse():
        peer = verified(verifier, ders, name, NOW)
        check_accepted(peer, ders, name)
        # What a verifier remembers of a chain is worth no more than the chain, for another time or name.
        assert verified(verifier, ders, name, NOW).chain == peer.chain
        assert is_refused(verifier, ders, name, peer.not_before - _SECOND)
        assert peer.not_after.year == _LAST_YEAR or is_refused(verifier, ders, name, peer.not_after + _SECOND)
        assert name is None or is_refused(verifier, ders, "other.invalid", NOW)


_SECOND = timedelta(seconds=1)
_LAST_YEAR = 9999  # after which there is no time


def verified(verifier: ChainVerifier, ders: list[bytes], server_name: str | None, now: datetime) -> PeerIdentity:
    """A server's identity, or for None as a name a client's."""
    if server_name is None:
        return verifier.verify_client(ders, now)
    return verifier.verify_server(ders, server_name, now)


def is_refused(verifier: ChainVerifier, ders: list[bytes], server_name: str | None, now: datetime) -> bool:
    """Whether the chain is not accepted."""
    try:
        verified(verifier, ders, server_name, now)
    except TLSError as error:
        check_refusal(error)
        return True
    return False


def check_accepted(peer: PeerIdentity, ders: list[bytes], server_name: str | None) -> None:
    """What a chain has to be that was accepted, as far as it can be said without doing it all again."""
    facts = parsed(ders[0])
    assert server_name is None or server_name in facts.names
    assert peer.not_before <= NOW <= peer.not_after
    assert peer.subject_alternative_names == facts.alternative_names
    assert peer.chain == tuple(ders)


def signed_again(certificate: bytes, signer: str) -> bytes:
    """The certificate with a signature that is right; as it is where it has not the three parts of one."""
    outer = der.elements(certificate)
    if not outer or not outer[0].inner or len(outer[0].inner) != 3:
        return certificate
    tbs, _, signature = outer[0].inner
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    signature.inner = None
    signature.tag = 0x03
    signature.content = b"\0" + authority_key(signer).sign(tbs.encode(), algorithm)
    return outer[0].encode()


_DIRECT = leaf(SERVER_NAME, "root")
_LEAF, _INTERMEDIATE = leaf(SERVER_NAME, "intermediate"), authority("intermediate", "root")
_CONSTRAINED = authority("intermediate", "root", constrained=True)
_RSA = rsa_leaf(SERVER_NAME, "intermediate")
_PSS_SHA256 = bytes.fromhex(
    "303d 06092a864886f70d01010a 3030 a00d 300b0609608648016503040201"
    "a11a 3018 06092a864886f70d010108 300b0609608648016503040201 a203 020120"
)


def _pss_leaf() -> bytes:
    """The RSA certificate with a key that is for PSS with SHA-256 alone (RFC 4055 section 3.1)."""
    certificate = der.elements(_RSA)
    identifier = der.elements(_PSS_SHA256)
    assert certificate is not None
    assert identifier is not None
    tbs, *_ = certificate[0].inner or ()
    key = (tbs.inner or ())[6]
    assert key.inner is not None
    key.inner[0] = identifier[0]
    return signed_again(certificate[0].encode(), "intermediate")


def _chain_seeds() -> Mapping[str, bytes]:
    def chain(settings: int, *ders: bytes) -> bytes:
        return steps.encode(settings, [Step(0, each) for each in ders])

    again = RESIGN_LEAF | RESIGN_ISSUER
    return {
        "good": chain(again, _LEAF, _INTERMEDIATE),
        "good-relaxed": chain(again | RELAXED, _LEAF, _INTERMEDIATE),
        "good-client": chain(again | OF_CLIENT, _LEAF, _INTERMEDIATE),
        "good-constrained": chain(again, _LEAF, _CONSTRAINED),
        "good-rsa": chain(again | RELAXED, _RSA, _INTERMEDIATE),
        "good-pss": chain(again, _pss_leaf(), _INTERMEDIATE),
        "good-ed25519": chain(0, leaf(SERVER_NAME, "ed25519"), authority("ed25519", "root")),
        "good-direct": chain(0, _DIRECT),
        "good-superfluous": chain(0, _LEAF, authority("root", "root"), _INTERMEDIATE, _DIRECT),
        "two-ways": chain(0, _LEAF, _CONSTRAINED, _INTERMEDIATE, authority("root", "intermediate")),
        "incomplete": chain(0, _LEAF),
        "empty": chain(0),
    }


def _mutate_certificate(data: bytes, limit: int, random: Random, change: Change) -> bytes:
    return der.mutated(data, limit, random, change)


def _inside(step: Step, limit: int, random: Random, change: Change) -> Step:
    return Step(step.kind, der.mutated(step.content, limit, random, change))


def _certificate_seeds() -> Mapping[str, bytes]:
    return {
        "leaf": _LEAF,
        "rsa": _RSA,
        "pss": _pss_leaf(),
        "intermediate": _INTERMEDIATE,
        "constrained": _CONSTRAINED,
        "root": authority("root", "root"),
        "ed25519": authority("ed25519", "root"),
    }


_STOCK = [Step(0, each) for each in (*_certificate_seeds().values(), _DIRECT)]

TARGETS = [
    Target("certificate_facts", run_certificate, _certificate_seeds, _mutate_certificate),
    Target("name", run_name, _name_seeds, max_length=300),
    Target("chain", run_chain, _chain_seeds, steps.mutator(_inside, _STOCK, 16)),
]

"""Chains whose certificates say other things than they did, each signed again: what the checks behind the parser make of them."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Generator, Mapping, Sequence
from random import Random
from typing import Any, Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from fuzz import extensions, simple_rules, steps
from fuzz.credentials import NOW, SERVER_NAME, authority, authority_key, ec_leaf, leaf, leaf_key, rsa_leaf
from fuzz.der import Element
from fuzz.steps import Step
from fuzz.target import Change, Target, check_refusal, may_refuse
from fuzz.targets.certificates import check_read
from handfast.certificates import described, notes, pem
from handfast.certificates.aia import Completion, Content, Fetch, IssuerCache
from handfast.certificates.examined import examine
from handfast.certificates.facts import facts
from handfast.certificates.fetch_policy import FetchPolicy
from handfast.certificates.parsed import parsed
from handfast.certificates.peer import PeerIdentity
from handfast.certificates.policy import ChainVerifier, Policy
from handfast.certificates.rules import Rule
from handfast.certificates.spiffe import AllowSpiffe
from handfast.certificates.store import TrustStore
from handfast.cli import cert_report, cert_show
from handfast.cli.cert_run import StoreVerdict, Verified
from handfast.cli.cert_source import Source
from handfast.cli.streams import Paper
from handfast.errors import CertificateError, FetchFailed

SERVER, CLIENT, UNNAMED, ADDRESS = range(4)
"""Whom a chain is shown to, by the two lowest bits of its settings."""
RELAXED, SPIFFE, TRUSTED, FETCHED, DRAWN = 4, 8, 16, 32, 64
"""The other bits: a policy without the rules that have a switch; one for SPIFFE ids; the last certificate is a root too; only
the first certificate is sent, and the others come from where it says; it is drawn for people too, which takes long."""

AS_IT_IS, ROOT, INTERMEDIATE, SECOND, ED25519, LEAF = range(6)
"""Who signs a certificate again, by the kind of its step."""

SECONDS = 1.0
"""Of the processor, that everything which is asked about a chain of this size may take. It takes 0.1 at most with the fuzzer
watching, which makes Python ten times as slow."""

_NAMES = {SERVER: SERVER_NAME, ADDRESS: "192.0.2.1"}
_ALLOWED = (extensions.SPIFFE.decode("ascii"), "spiffe://server.example/*")
CHAIN = 8  # certificates that are looked at


def run(data: bytes) -> None:
    """The certificates of a chain, signed again; see the bits of the settings."""
    settings, chain = steps.decode(data)
    ders = [signed_again(content, kind) for kind, content in chain[:CHAIN]]
    started = time.thread_time()
    with may_refuse():
        roots = [_ROOT, *(ders[-1:] if settings & TRUSTED else [])]
        trust = TrustStore.from_bytes(*map(pem.certificate, roots))
        verifier = ChainVerifier(trust, _policy(settings))
        if ders:
            _look_at(ders, settings, verifier)
    assert time.thread_time() - started < SECONDS, "it takes too long"


def _look_at(ders: list[bytes], settings: int, verifier: ChainVerifier) -> None:
    assert verifier.is_slow(ders) in (True, False)
    identity, error, completion = None, None, None
    try:
        if settings & FETCHED:
            completion = Completion(ders[:1], FetchPolicy(), IssuerCache())
            identity = _completed(completion, ders[1:], settings, verifier)
        else:
            identity = _verified(verifier, ders, settings)
    except CertificateError as refusal:
        check_refusal(refusal)
        error = refusal
    sent = ders[:1] if settings & FETCHED else ders
    if identity is not None:
        check_accepted(identity, sent, settings, verifier)
    _show(sent, settings, verifier, identity, error, completion)


def _policy(settings: int) -> Policy:
    allow = AllowSpiffe(*_ALLOWED) if settings & SPIFFE else None
    return Policy(relax=list(Rule) if settings & RELAXED else (), allow=allow)


def _verified(verifier: ChainVerifier, ders: Sequence[bytes], settings: int) -> PeerIdentity:
    whom = settings & 3
    if whom == CLIENT:
        return verifier.verify_client(ders, NOW)
    if whom == UNNAMED:
        return verifier.verify_unnamed_server(ders, NOW)
    return verifier.verify_server(ders, _NAMES[whom], NOW)


def check_accepted(identity: PeerIdentity, sent: list[bytes], settings: int, verifier: ChainVerifier) -> None:
    """By rules that are written again, and by the verifier of `cryptography` as it comes."""
    whom, relaxed = settings & 3, bool(settings & RELAXED)
    trusted = {each.public_bytes(Encoding.DER) for each in verifier.trust.roots}
    purpose = "client" if whom == CLIENT else "server"
    assert identity.chain == tuple(sent)
    assert identity.path[0] == sent[0]
    simple_rules.check_path(identity.path, trusted, NOW, purpose, relaxed=relaxed)
    first = simple_rules.simple(sent[0])
    if whom in _NAMES:
        assert simple_rules.is_named(first, _NAMES[whom]), "it is for another name"
    if settings & SPIFFE:
        uris = [each.content.decode("latin-1") for each in first.names if each.tag == extensions.URI]
        assert len(uris) == 1
        assert uris[0] == _ALLOWED[0] or uris[0].lower().startswith("spiffe://server.example/")
    if not relaxed and whom != UNNAMED and not simple_rules.is_exempt(identity.path):
        whole = [*sent, *(each for each in identity.path if each not in sent)]
        assert simple_rules.others_accept(whole, trusted, _NAMES.get(whom), NOW), "cryptography refuses it"


def _completed(completion: Completion, others: list[bytes], settings: int, verifier: ChainVerifier) -> PeerIdentity:
    """What comes of a chain when each address that is asked for brings all the other certificates."""
    script: Generator[Fetch, Content | FetchFailed, PeerIdentity] = completion.run(
        lambda whole: _verified(verifier, whole, settings)
    )
    asked = 0
    answer: Any = None
    try:
        while True:
            wanted = script.send(answer)
            asked += 1
            assert wanted.url.lower().startswith("http://"), "something else than http is asked for"
            assert asked <= FetchPolicy().fetches, "too much is asked for"
            answer = Content(b"".join(map(pem.certificate, others)))
    except StopIteration as end:
        identity: PeerIdentity = end.value
        return identity


# --- what is shown of a chain ------------------------------------------------------------------------------------------


def _show(
    ders: list[bytes],
    settings: int,
    verifier: ChainVerifier,
    identity: PeerIdentity | None,
    error: CertificateError | None,
    completion: Completion | None,
) -> None:
    """All that users see of it, for people and for programs."""
    purpose: Literal["server", "client"] = "client" if settings & 3 == CLIENT else "server"
    for der in ders:
        with may_refuse():
            check_read(parsed(der))
            facts(der)
            described.described(der, str)
            list(notes.concerns(ders, purpose, NOW))
    name, path = _NAMES.get(settings & 3), identity.path if identity else ()
    fetched = {} if completion is None else completion.fetched
    seen = examine(ders, purpose, name, NOW, verifier, fetched=tuple(fetched), path=path, refused=error)
    if identity is None:
        assert any(verdict.error is not None for verdict in seen.verdicts), "it is refused, and no check says so"
    else:
        assert seen.path == path
        assert all(verdict.error is None for verdict in seen.verdicts), "it is accepted, and a check refuses it"
    stores = [StoreVerdict("a store", verifier.trust, seen.path[-1] if seen.anchored else None, error)]
    verified = Verified(purpose, name, NOW, verifier.trust, identity, error, seen, completion, stores)
    source = Source("file", "a file", tuple(ders))
    text = json.dumps(cert_report.document("verify", source, verified))
    assert text.isascii()
    if settings & DRAWN:
        drawn = io.StringIO()
        cert_show.verified(Paper(drawn), source, verified)
        cert_show.shown_chain(Paper(drawn), source)
        assert drawn.getvalue().replace("\n", "").isprintable()


# --- who signs ---------------------------------------------------------------------------------------------------------


def signed_again(certificate: bytes, signer: int) -> bytes:
    """The certificate with a signature of this key, in the key's own way; as it is where it has not the three parts of one."""
    found = extensions.parts(certificate)
    if signer % 6 == AS_IT_IS or found is None or len(found[0][0].inner or ()) != 3:
        return certificate
    outer = found[0]
    tbs, _, signature = outer[0].inner or ()
    made = b"\0" + _sign(signer % 6, tbs.encode())
    (outer[0].inner or [])[2] = Element(signature.tag, made)
    (outer[0].inner or [])[2].inner = None
    return outer[0].encode()


def _sign(signer: int, content: bytes) -> bytes:
    if signer == ED25519:
        return leaf_key("ed25519").sign(content)
    name = {ROOT: "root", INTERMEDIATE: "intermediate", SECOND: "second", LEAF: SERVER_NAME}[signer]
    return authority_key(name).sign(content, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


# --- seeds -------------------------------------------------------------------------------------------------------------

_ROOT = authority("root", "root")
_AUTHORITIES = [
    Step(ROOT, authority("intermediate", "root")),
    Step(ROOT, authority("intermediate", "root", constrained=True)),
    Step(INTERMEDIATE, authority("second", "intermediate")),
    Step(ROOT, authority("ed25519", "root")),
    Step(ROOT, _ROOT),
]
_OF_INTERMEDIATE, _CONSTRAINED, _OF_SECOND, _OF_ED25519, _OF_ROOT = _AUTHORITIES
_LEAF = Step(INTERMEDIATE, leaf(SERVER_NAME, "intermediate"))
_RSA = Step(INTERMEDIATE, rsa_leaf(SERVER_NAME, "intermediate"))
_OWN = Step(LEAF, ec_leaf(SERVER_NAME, SERVER_NAME))


def _seeds() -> Mapping[str, bytes]:
    both = (_LEAF, _OF_INTERMEDIATE)
    long = (Step(SECOND, leaf(SERVER_NAME, "second")), _OF_SECOND, _OF_INTERMEDIATE)
    return {
        "good": steps.encode(SERVER, both),
        "good-drawn": steps.encode(SERVER | DRAWN, long),
        "good-client": steps.encode(CLIENT, both),
        "good-unnamed": steps.encode(UNNAMED, both),
        "good-address": steps.encode(ADDRESS, both),
        "good-relaxed": steps.encode(SERVER | RELAXED, both),
        "good-client-relaxed": steps.encode(CLIENT | RELAXED, both),
        "good-long": steps.encode(SERVER, long),
        "good-constrained": steps.encode(SERVER, (_LEAF, _CONSTRAINED)),
        "good-names": steps.encode(SERVER, (_RSA, _OF_INTERMEDIATE)),
        "good-spiffe": steps.encode(UNNAMED | SPIFFE, (_RSA, _OF_INTERMEDIATE)),
        "good-ed25519": steps.encode(SERVER, (Step(ED25519, leaf(SERVER_NAME, "ed25519")), _OF_ED25519)),
        "good-trusted": steps.encode(SERVER | TRUSTED, (_OWN,)),
        "good-trusted-authority": steps.encode(SERVER | TRUSTED, both),
        "good-fetched": steps.encode(SERVER | FETCHED, (_RSA, _OF_INTERMEDIATE)),
        "stray": steps.encode(SERVER, (_LEAF, _OF_ROOT, _OF_ED25519, _LEAF, _OF_INTERMEDIATE)),
        "incomplete": steps.encode(SERVER | FETCHED, (_RSA,)),
        "self-signed": steps.encode(SERVER, (_OWN,)),
        "empty": steps.encode(SERVER, ()),
    }


def _inside(step: Step, limit: int, random: Random, change: Change) -> Step:
    return Step(step.kind, extensions.mutated(step.content, limit, random, change))


_STOCK = [*_AUTHORITIES, _LEAF, _RSA, _OWN]

TARGETS = [Target("checks", run, _seeds, steps.mutator(_inside, _STOCK, 128), max_length=8_192)]

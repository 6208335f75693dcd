"""Whether a peer's chain is accepted: the verdict of `cryptography`'s verifier, and our own checks. Both have to agree.

The verifier's reasons are sentences for people, so they are not used: where it refuses, our own checks say why. Where
they find nothing, the chain is refused all the same; but for the two kinds of chain that we accept and it does not,
which :func:`_is_exempt` lists.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NoReturn

from cryptography import x509
from cryptography.x509 import verification

from handfast.certificates import names, path, relaxing, work
from handfast.certificates.accepted import Accepted
from handfast.certificates.checks import check
from handfast.certificates.checks.evidence import about
from handfast.certificates.checks.verifier import NOT_OF_THE_WEB, likely_cause, odd_signature
from handfast.certificates.leaked import KeyList
from handfast.certificates.parsed import Parsed, parsed
from handfast.certificates.path import Path
from handfast.certificates.peer import PROOF, PeerIdentity
from handfast.certificates.rules import Rule
from handfast.certificates.spiffe import AllowSpiffe
from handfast.certificates.store import TrustStore
from handfast.certificates.strength import excessive_key
from handfast.errors import (
    BadCertificateSignature,
    CertificateError,
    CertificateRuleBroken,
    CertificateUnreadable,
    ConfigurationError,
    UnusableKey,
    kind_wanted,
)
from handfast.limits import ACCEPTED_CHAINS, CERTIFICATES_OF_A_CHAIN, COMPARISONS_OF_A_CHAIN, PATH_DEPTH
from handfast.reasons import NO_CERTIFICATE, TOO_MANY_COMPARISONS

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.x509.verification import ClientVerifier, PolicyBuilder, ServerVerifier

    from handfast.certificates.usages import Purpose

    Verifier = ServerVerifier | ClientVerifier


@dataclass(frozen=True)
class Policy:
    """What is asked of a chain, beside what is asked of every chain.

    ``relax``       switches, as :class:`~handfast.certificates.rules.Rule` or by their names ("missing-key-usage"): the
                    one that an error names lets pass what that error was about, and nothing else
    ``depth``       how many authorities there may be between a peer's certificate and its root, 0 to 8
    ``allow``       which peers, of those that have a good certificate: an
                    :class:`~handfast.certificates.spiffe.AllowSpiffe`. It comes on top: a server whose name counts has
                    to have that as well
    ``known_keys``  keys that somebody else has too, see :class:`~handfast.certificates.leaked.KeyList`

    Raises ConfigurationError for a depth that is out of bounds, for a rule that there is not, and for what is of another
    kind.
    """

    relax: frozenset[Rule] = frozenset()
    depth: int = PATH_DEPTH
    allow: AllowSpiffe | None = None
    known_keys: KeyList = field(default_factory=KeyList.built_in, compare=False)

    def __init__(
        self,
        relax: Iterable[Rule | str] = (),
        *,
        depth: int = PATH_DEPTH,
        allow: AllowSpiffe | None = None,
        known_keys: KeyList | None = None,
    ) -> None:
        if isinstance(depth, bool) or not isinstance(depth, int):
            raise kind_wanted("depth", depth, "a number")
        if not isinstance(relax, Iterable):
            raise kind_wanted("relax", relax, "a list of rules")
        if allow is not None and not isinstance(allow, AllowSpiffe):
            raise kind_wanted("allow", allow, "an AllowSpiffe")
        if known_keys is not None and not isinstance(known_keys, KeyList):
            raise kind_wanted("known_keys", known_keys, "a KeyList")
        if not 0 <= depth <= PATH_DEPTH:
            raise ConfigurationError(setting="depth", value=depth, problem=f"it has to be from 0 to {PATH_DEPTH}")
        object.__setattr__(self, "relax", frozenset(map(_rule, [relax] if isinstance(relax, str) else relax)))
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "allow", allow)
        object.__setattr__(self, "known_keys", KeyList.built_in() if known_keys is None else known_keys)


def _rule(name: Rule | str) -> Rule:
    try:
        return Rule(name)
    except ValueError:
        problem = f"no rule is called {name}"
        raise ConfigurationError(setting="relax", problem=problem, known=[rule.value for rule in Rule]) from None


class ChainVerifier:
    """Verifies certificate chains up to trusted roots. Any number of connections share one.

    ``trust`` and ``policy`` are never changed: sessions, and what is remembered, stand on them. For others make another one.

    ``remember``  how many accepted chains are remembered, so that a client that connects to the same server again, or a
                  server that the same client comes back to, verifies its chain once; see handfast.certificates.accepted.
                  0 verifies each chain each time

    Raises ConfigurationError for a trust or a policy of another kind.
    """

    def __init__(self, trust: TrustStore, policy: Policy | None = None, *, remember: int = ACCEPTED_CHAINS) -> None:
        if not isinstance(trust, TrustStore):
            raise kind_wanted("trust", trust, "a TrustStore")
        if policy is not None and not isinstance(policy, Policy):
            raise kind_wanted("policy", policy, "a Policy")
        self.trust = trust
        self.policy = policy or Policy()
        self._servers = relaxing.builder(trust, self.policy, "server")
        self._clients = relaxing.builder(trust, self.policy, "client")
        self._accepted = Accepted(remember)
        self._accepted_unnamed = Accepted(remember)
        self._built: tuple[tuple[Purpose, str | None, datetime], Verifier] | None = None  # see _at
        self._narrower: dict[TrustStore, ChainVerifier | None] = {}  # by the roots of a SPIFFE trust domain

    def __setattr__(self, name: str, value: object) -> None:
        """Raises AttributeError for another trust or policy, which would count for some chains and not for others."""
        if name in ("trust", "policy") and name in self.__dict__:
            raise AttributeError(f"a verifier's {name} never changes: make another verifier")
        super().__setattr__(name, value)

    def verify_server(self, chain: Sequence[bytes], server_name: str | None, now: datetime) -> PeerIdentity:
        """The identity of a server.

        ``chain``        DER as it was sent, the server's own certificate first (RFC 9846 section 4.5.1); the others
                         may stand in any order, and some may be superfluous
        ``server_name``  a DNS name or IP address, in the form that :func:`~handfast.certificates.names.normalized` has
        ``now``          aware

        Raises a CertificateError: a subclass for each cause, with the certificate at fault.
        """
        if server_name is None:
            raise ConfigurationError(setting="server_name", problem="a name is needed to verify a server")
        return self._verify(chain, "server", server_name, now)

    def verify_unnamed_server(self, chain: Sequence[bytes], now: datetime) -> PeerIdentity:
        """The identity of a server that is trusted whatever its name is: its chain leads to a root, and that is all.

        For roots that vouch for one's own servers alone. With public roots anybody who has a certificate is accepted.
        """
        return self._verify(chain, "server", None, now)

    def verify_client(self, chain: Sequence[bytes], now: datetime) -> PeerIdentity:
        """The identity of a client: what :meth:`verify_server` does, but for two things.

        There is no name to compare: who may come in is for the application to say, from what the PeerIdentity shows. A
        certificate without subjectAltName has only its subject to show, and needs the rule
        "missing-subject-alternative-name" relaxed. And in place of serverAuth it is clientAuth that an extendedKeyUsage
        has to have. A certificate without extendedKeyUsage serves both, as RFC 5280 section 4.2.1.12 has it.
        """
        return self._verify(chain, "client", None, now)

    def is_slow(self, chain: Sequence[bytes]) -> bool:
        """Whether ``chain`` (DER) may take so long to verify that an event loop should not wait for it.

        A rough estimate that costs little itself and never raises; see handfast.certificates.work.
        """
        return work.is_slow(chain, self.trust)

    def _verify(self, chain: Sequence[bytes], purpose: Purpose, server_name: str | None, now: datetime) -> PeerIdentity:
        now = now.replace(microsecond=0)  # certificates count whole seconds, the last one included
        chain = tuple(chain)
        # What was accepted from a client says nothing about a server.
        accepted = self._accepted_unnamed if purpose == "server" and server_name is None else self._accepted
        known = accepted.find(chain, server_name, now)
        if known is not None:
            return known
        sent = _parse_all(chain)
        excessive = work.excessive(sent, self.trust)
        if excessive is not None:
            raise CertificateError(
                TOO_MANY_COMPARISONS, certificate=sent[0].der, comparisons=excessive, limit=COMPARISONS_OF_A_CHAIN
            )
        way = self._way(sent, purpose, server_name, now)
        identity = PeerIdentity(
            PROOF, sent[0], chain, tuple([item.der for item in way.certificates]), server_name, "chain"
        )
        accepted.add(identity, way.certificates)
        return identity

    def _way(self, sent: Sequence[Parsed], purpose: Purpose, server_name: str | None, now: datetime) -> Path:
        """The path to a root in which nothing is wrong. Raises a CertificateError."""
        found = self._verdict(sent, purpose, server_name, now)
        way = self._followed(sent, now) if found is None else path.verified(found, sent, self.trust)
        check(way, purpose, server_name, now, self.policy, self.trust)
        if found is None and not _is_exempt(way):
            _refuse_unexplained(way)
        allow = self.policy.allow
        if allow is None:
            return way
        vouching = allow.roots(sent[0])
        if vouching is not None and not allow.vouches(way.certificates):
            other = self._trusting(vouching)
            if other is not None:
                with suppress(CertificateError):
                    return other._way(sent, purpose, server_name, now)
        allow.check(way.certificates)
        return way

    def _trusting(self, roots: TrustStore) -> ChainVerifier | None:
        """The same verifier with those of its roots alone that are among these, for a chain that leads to several roots."""
        if roots not in self._narrower:
            try:
                self._narrower[roots] = ChainVerifier(self.trust.intersection(roots), self.policy, remember=0)
            except ConfigurationError:  # they have none in common
                self._narrower[roots] = None
        return self._narrower[roots]

    def _verdict(
        self, sent: Sequence[Parsed], purpose: Purpose, server_name: str | None, now: datetime
    ) -> list[x509.Certificate] | None:
        """The path that `cryptography`'s verifier accepts, None if it refuses."""
        leaf, others = sent[0].certificate, [item.certificate for item in sent[1:] if not self.trust.refuses(item)]
        try:
            found = self._at(purpose, server_name, now).verify(leaf, others)
            return found if isinstance(found, list) else found.chain  # for clients the path is a part of what it gives
        except (verification.VerificationError, TypeError, ValueError):
            return None

    def _at(self, purpose: Purpose, server_name: str | None, now: datetime) -> Verifier:
        """The verifier of `cryptography` for this second, which it keeps; the last one that was built is kept here."""
        wanted = purpose, server_name, now
        built = self._built
        if built is None or built[0] != wanted:
            if server_name is not None:
                verifier: Verifier = self._servers.time(now).build_server_verifier(_subject(server_name))
            else:
                builder = self._clients if purpose == "client" else self._unnamed
                verifier = builder.time(now).build_client_verifier()
            built = self._built = (wanted, verifier)
        return built[1]

    @cached_property
    def _unnamed(self) -> PolicyBuilder:
        """For servers without a name to compare. The verifier for clients is the one that asks for no name."""
        return relaxing.builder(self.trust, self.policy, "server", named=False)

    def _followed(self, sent: Sequence[Parsed], now: datetime) -> Path:
        for certificate in sent:
            certificate.check_names()
        return path.follow(sent, self.trust, now)

    @cached_property
    def trust_id(self) -> bytes:
        """What this verifier trusts, as a hash: a session stands only where the same roots and rules do.

        b"" for a subclass, of it, of its roots' store or of what its policy has, so that nothing is resumed: what it asks
        for besides, only it can say, by a trust_id of its own.
        """
        return self._asked if type(self) is ChainVerifier else b""

    @property
    def _asked(self) -> bytes:
        policy = self.policy
        allow = policy.allow
        if type(allow) not in (type(None), AllowSpiffe) or type(policy.known_keys) is not KeyList:
            return b""
        if any(type(store) is not TrustStore for store in (self.trust, *(allow.stores if allow else ()))):
            return b""
        rules = ",".join(sorted(map(str, policy.relax))).encode("ascii")
        allowed = b"" if allow is None else allow.fingerprint
        asked = b"\0".join((rules, b"%d" % policy.depth, policy.known_keys.fingerprint, allowed))
        return hashlib.sha256(self.trust.fingerprint + asked).digest()

    def __repr__(self) -> str:
        relaxed = f", without {', '.join(sorted(map(str, self.policy.relax)))}" if self.policy.relax else ""
        return f"<ChainVerifier {self.trust!r}{relaxed}>"


class ServiceVerifier(ChainVerifier):
    """Verifies servers that are known by their SPIFFE id and not by a host's name. For ClientConfig (``verifier=``).

    ::

        ServiceVerifier(trust, Policy(allow=AllowSpiffe("spiffe://example.org/ns/prod/db")))

    Raises ConfigurationError for a policy that allows any peer.
    """

    def __init__(self, trust: TrustStore, policy: Policy, *, remember: int = ACCEPTED_CHAINS) -> None:
        if not isinstance(policy, Policy):
            raise kind_wanted("policy", policy, "a Policy")
        if policy.allow is None:
            raise ConfigurationError(setting="allow", problem="without it any certificate of these roots would do")
        super().__init__(trust, policy, remember=remember)

    def verify_server(self, chain: Sequence[bytes], server_name: str | None, now: datetime) -> PeerIdentity:
        """The identity of a server; the name that was asked for does not count."""
        return self.verify_unnamed_server(chain, now)

    @cached_property
    def trust_id(self) -> bytes:
        """As of a ChainVerifier, and never the same."""
        asked = self._asked if type(self) is ServiceVerifier else b""
        return asked and hashlib.sha256(b"service" + asked).digest()


def _parse_all(chain: Sequence[bytes]) -> list[Parsed]:
    if not chain:
        raise CertificateError(NO_CERTIFICATE)
    if len(chain) > CERTIFICATES_OF_A_CHAIN:
        too_many = "it sent more certificates than are looked at"
        raise CertificateError(problem=too_many, certificates=len(chain), limit=CERTIFICATES_OF_A_CHAIN)
    sent: list[Parsed] = []
    for number, der in enumerate(chain, 1):
        try:
            certificate = parsed(der)
        except CertificateUnreadable as error:
            error.evidence = {"position": f"certificate {number} of {len(chain)}", **error.evidence}
            raise
        sent.append(certificate)
        problem = excessive_key(certificate)
        if problem is not None:
            where = f"certificate {number} of {len(chain)}"
            raise UnusableKey(
                certificate=certificate.der, position=where, subject=certificate.subject or "(empty)", key=problem
            )
    return sent


@lru_cache(maxsize=512)
def _subject(server_name: str) -> verification.Subject:
    address = names.address(server_name)
    return x509.DNSName(server_name) if address is None else x509.IPAddress(address)


def _is_exempt(way: Path) -> bool:
    """The chains that are accepted although the verifier refuses them; all other checks have been passed.

    1. An authority with an Ed25519 or Ed448 key (RFC 8410), or an RSA key for PSS alone (RFC 4055), which the web's
       profile does not have. All signatures of the path have been verified, each is of a way of signing that the verifier
       would accept of other authorities, and there are no name constraints, which only the verifier can enforce.
    2. A peer's own certificate that is itself among the trusted ones, whatever it is: `ssl` accepts it too, and
       `openssl req -x509` makes them so that the verifier does not.
    """
    if not way.anchored or way.forged is not None or way.unchecked:
        return False
    if len(way.certificates) == 1:
        return True
    issuers = way.certificates[1:]
    constrained = any(issuer.extension(x509.NameConstraints) is not None for issuer in issuers)
    odd = any(odd_signature(item) is not None for item in way.certificates[:-1])  # a root's own proves nothing
    return not constrained and not odd and any(issuer.kind in NOT_OF_THE_WEB for issuer in issuers)


def _refuse_unexplained(way: Path) -> NoReturn:
    index = path.unverifiable(way) if way.unchecked else None
    if index is not None:
        problem = "it is signed in a way that its issuer's key is not for, or that is not known here"
        certificate = way.certificates[index].der
        raise BadCertificateSignature(certificate=certificate, **about(way, index), problem=problem)
    cause = likely_cause(way)
    if cause is not None:
        index, breach = cause
        certificate = way.certificates[index].der
        raise CertificateRuleBroken(
            certificate=certificate, **about(way, index), rule=breach.sentence, section=breach.section
        )
    leaf = way.certificates[0]
    raise CertificateRuleBroken(
        certificate=leaf.der,
        **about(way, 0),
        rule="the verifier refuses this chain, and none of the checks that could say why finds anything",
        path=[item.subject for item in way.certificates],
    )

"""SPIFFE ids: names of services, as URIs in certificates; and rules that say which of them may come in.

https://spiffe.io/docs/latest/spiffe-specs/: the SPIFFE-ID document section 2, the X509-SVID document sections 2 and 4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from cryptography import x509

from handfast import reasons
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError, ConfigurationError, kind_wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handfast.certificates.parsed import Parsed

LONGEST: Final = 2048  # bytes of an id (SPIFFE-ID section 2.3)
_DOMAIN: Final = re.compile(r"[a-z0-9._-]{1,255}")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._-]+")
SCHEME: Final = "spiffe://"


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """A SPIFFE id, taken apart.

    ``trust_domain``  who vouches for it: "example.org"
    ``path``          of the service within it: "/ns/prod/sa/web"; "" for the trust domain itself
    """

    trust_domain: str
    path: str

    @classmethod
    def parse(cls, text: str) -> SpiffeId:
        """Raises ValueError, saying what is wrong."""
        scheme, rest = text[: len(SCHEME)], text[len(SCHEME) :]
        if scheme.lower() != SCHEME:
            raise ValueError("it does not begin with spiffe://")
        if len(text) > LONGEST:
            raise ValueError(f"it has more than {LONGEST} bytes")
        domain, slash, path = rest.partition("/")
        if not _DOMAIN.fullmatch(domain):
            raise ValueError(
                "its trust domain is not made of small letters, digits, dots, hyphens and underscores alone; it has no port"
            )
        if slash:
            for segment in path.split("/"):
                if not _SEGMENT.fullmatch(segment) or segment in (".", ".."):
                    raise ValueError(
                        f"each part of its path is made of letters, digits, dots, hyphens and underscores, and {segment!r} is not"
                    )
        return cls(domain, slash + path)

    def __str__(self) -> str:
        return f"{SCHEME}{self.trust_domain}{self.path}"


class AllowSpiffe:
    """Which SPIFFE ids are allowed. For :class:`~handfast.certificates.policy.Policy` (``allow=``).

    ::

        AllowSpiffe("spiffe://example.org/ns/prod/sa/web")    # this one
        AllowSpiffe("spiffe://example.org/ns/prod/*")         # all below a path, at any depth
        AllowSpiffe("spiffe://example.org/*")                 # all of a trust domain

    A certificate of any trusted root may have any id. Where trust domains have roots of their own, ``trust`` says which::

        trust = {"example.org": ours, "partner.test": theirs}
        ChainVerifier(ours | theirs, Policy(allow=AllowSpiffe("spiffe://example.org/*", "spiffe://partner.test/db", trust=trust)))

    A certificate has to have exactly one URI, which is the id, and it has to be allowed by one of the rules. A trust domain
    itself ("spiffe://example.org") is nobody's id: only authorities have it.
    """

    __slots__ = ("_below", "_exact", "_trust", "rules")

    def __init__(self, *rules: str, trust: Mapping[str, TrustStore] | None = None) -> None:
        """``trust``  by trust domain, the roots that may vouch for its ids, by no way through what they distrust; None: any root

        Raises ConfigurationError for a rule that is none, where there is none at all, where ``trust`` does not have the
        trust domain of each rule, and for what is of another kind.
        """
        if not rules:
            raise ConfigurationError(setting="allow", problem="AllowSpiffe without a rule would allow nobody")
        for rule in rules:
            if not isinstance(rule, str):
                raise kind_wanted("allow", rule, "a text such as spiffe://example.org/*")
        if trust is not None and not isinstance(trust, Mapping):
            raise kind_wanted("trust", trust, "a dict of trust domains and their TrustStores")
        for store in trust.values() if trust is not None else ():
            if not isinstance(store, TrustStore):
                raise kind_wanted(
                    "trust", store, "a TrustStore for each trust domain, such as TrustStore.from_files(...) gives"
                )
        self.rules = rules
        exact: set[SpiffeId] = set()
        below: list[SpiffeId] = []
        for rule in rules:
            try:
                if rule.endswith("/*"):
                    below.append(SpiffeId.parse(rule[:-2]))
                    continue
                name = SpiffeId.parse(rule)
                if not name.path:
                    raise ValueError(
                        "this is a trust domain, and no service has it for an id; all of it is that and /*"
                    )
                exact.add(name)
            except ValueError as error:
                raise ConfigurationError(setting="allow", value=rule, problem=str(error)) from None
        self._exact, self._below = frozenset(exact), tuple(below)
        self._trust = None if trust is None else dict(trust)
        domains = {rule.trust_domain for rule in (*exact, *below)}
        if self._trust is not None and not domains <= self._trust.keys():
            missing = sorted(domains - self._trust.keys())
            raise ConfigurationError(setting="trust", problem="no roots are given for a trust domain", missing=missing)

    def allows(self, name: SpiffeId) -> bool:
        """Whether one of the rules allows this id."""
        if name in self._exact:
            return True
        return any(
            name.trust_domain == rule.trust_domain and name.path.startswith(rule.path + "/") for rule in self._below
        )

    def check(self, way: Sequence[Parsed]) -> None:
        """Raises CertificateError(PEER_NOT_ALLOWED) for a peer that is not allowed, or no service (X509-SVID section 5.2).

        ``way``  from the peer's certificate to its root
        """
        certificate = way[0]
        uris = certificate.values(x509.UniformResourceIdentifier)
        found = {"allowed": list(self.rules), "names": list(certificate.alternative_names)}
        if len(uris) != 1:
            problem = (
                "it has no URI, and so no SPIFFE id"
                if not uris
                else f"it has {len(uris)} URIs, and an id is the only one"
            )
            _refuse(certificate, problem, found)
        try:
            name = SpiffeId.parse(uris[0])
        except ValueError as error:
            _refuse(certificate, f"its URI is no SPIFFE id: {error}", found)
        if not name.path:
            _refuse(certificate, "its id is the trust domain, which an authority has, and no service", found)
        if _is_an_authority(certificate):
            _refuse(
                certificate, "it is an authority's certificate, or signs lists of revoked ones, and no service's", found
            )
        if not self.allows(name):
            _refuse(certificate, "no rule allows this id", found)
        if self._trust is None:
            return
        vouching = self._trust[name.trust_domain]
        if way[-1].certificate not in vouching:
            _refuse(certificate, "it comes from a root that does not vouch for this trust domain", found)
        if any(map(vouching.refuses, way)):
            _refuse(
                certificate, "its trust domain distrusts a certificate of its path, or that one's key, by hand", found
            )

    def vouches(self, way: Sequence[Parsed]) -> bool:
        """Whether those who vouch for the id of a peer let this way to its root pass, if it has an id that a rule is for."""
        vouching = self.roots(way[0])
        return vouching is None or (way[-1].certificate in vouching and not any(map(vouching.refuses, way)))

    def roots(self, certificate: Parsed) -> TrustStore | None:
        """The roots that may vouch for the id of a peer; None where any may, and where it has no id that a rule is for."""
        uris = certificate.values(x509.UniformResourceIdentifier)
        if self._trust is None or len(uris) != 1:
            return None
        with suppress(ValueError):
            return self._trust.get(SpiffeId.parse(uris[0]).trust_domain)
        return None

    @property
    def stores(self) -> tuple[TrustStore, ...]:
        """The roots of all trust domains; none where any root may vouch for any."""
        return () if self._trust is None else tuple(self._trust.values())

    @property
    def fingerprint(self) -> bytes:
        """What stands for the rules in a verifier's trust_id."""
        rules = "\n".join(sorted(self.rules)).encode("utf-8")
        if self._trust is None:
            return rules
        stores = (f"{domain} {store.fingerprint.hex()}" for domain, store in sorted(self._trust.items()))
        return rules + b"\n\n" + "\n".join(stores).encode("utf-8")

    def __repr__(self) -> str:
        return f"AllowSpiffe({', '.join(map(repr, self.rules))})"


def _is_an_authority(certificate: Parsed) -> bool:
    """What only authorities have, and a rule that is relaxed might let pass."""
    constraints, usage = certificate.extension(x509.BasicConstraints), certificate.extension(x509.KeyUsage)
    return (constraints is not None and constraints.ca) or (
        usage is not None and (usage.key_cert_sign or usage.crl_sign)
    )


def _refuse(certificate: Parsed, problem: str, found: dict[str, list[str]]) -> NoReturn:
    raise CertificateError(
        reasons.PEER_NOT_ALLOWED,
        certificate=certificate.der,
        subject=certificate.subject or "(empty)",
        problem=problem,
        **found,
    )

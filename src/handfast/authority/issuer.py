"""An authority in memory: its chain, its key, and what it may issue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from handfast.authority import lifetimes, names
from handfast.authority.issued import IssuedIdentity
from handfast.authority.keys import KEY_KINDS, new_key
from handfast.authority.lifetimes import Kind, known_kind, validity
from handfast.authority.making import certify, hash_for, key_identifier, of_authority, of_leaf
from handfast.authority.names import Limits
from handfast.authority.revoked import Revoked
from handfast.certificates import pem
from handfast.certificates.policy import ChainVerifier
from handfast.certificates.store import TrustStore
from handfast.clock import SYSTEM_CLOCK, Clock
from handfast.crypto.guard import Guarded
from handfast.errors import CertificateError, ConfigurationError
from handfast.reasons import KEY_MISMATCH, NAME_NOT_ISSUED, REQUEST_REFUSED

if TYPE_CHECKING:
    from handfast.authority.requests import Request

_USAGES: Final[dict[Kind, list[x509.ObjectIdentifier]]] = {
    "server": [ExtendedKeyUsageOID.SERVER_AUTH],
    "client": [ExtendedKeyUsageOID.CLIENT_AUTH],
    "both": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    "spiffe": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],  # X.509-SVID section 4.4
}
# Each name of a subject has a limit in RFC 5280 appendix A.1.
_NAME_MOST: Final = names.COMMON_NAME_MOST


class Authority(Guarded):
    """A certificate authority with its key.

    ``chain``        DER, its own certificate first and, for an intermediate, those above it; the root is the last
    ``certificate``  its own, for `cryptography`
    ``limits``       for which names it may issue
    ``crl_url``      where its revocation list can be fetched, and ``issuer_url`` its own certificate (DER): both go into
                     what it issues; "" leaves them out

    Cannot be copied or pickled.
    """

    __slots__ = ("_clock", "_key", "certificate", "chain", "crl_url", "issuer_url", "limits")

    def __init__(
        self,
        chain: Sequence[bytes],
        key: Any,
        *,
        limits: Limits | None = None,
        crl_url: str = "",
        issuer_url: str = "",
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """``key``: a private key of `cryptography`.

        Raises ConfigurationError where it is another one's, and for an address that is none of HTTP.
        """
        self.chain = tuple(chain)
        self.certificate = x509.load_der_x509_certificate(self.chain[0])
        if self.certificate.public_key() != key.public_key():
            raise ConfigurationError(KEY_MISMATCH, certificate=self.certificate.subject.rfc4514_string())
        self.limits = limits or Limits()
        self.crl_url = names.checked_address(crl_url, "crl_url")
        self.issuer_url = names.checked_address(issuer_url, "issuer_url")
        self._key = key
        self._clock = clock

    @classmethod
    def create(
        cls,
        name: str,
        *,
        key: str = "p256",
        lifetime: timedelta = lifetimes.ROOT,
        limits: Limits | None = None,
        path_length: int | None = 1,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Authority:
        """A root with a fresh key.

        ``name``         its common name, at most 64 characters
        ``key``          one of KEY_KINDS
        ``limits``       stand in its certificate, and in those of its intermediates
        ``path_length``  how many authorities may stand between it and what is issued; None: any number
        """
        private = new_key(_known_key(key, limits))
        subject = _subject(name)
        der = certify(
            subject,
            private.public_key(),
            subject,
            private,
            _authority_extensions(private.public_key(), path_length, limits),
            validity(clock.wall(), lifetime),
        )
        return cls((der,), private, limits=limits, clock=clock)

    def intermediate(
        self,
        name: str,
        *,
        key: str = "p256",
        lifetime: timedelta = lifetimes.INTERMEDIATE,
        path_length: int | None = 0,
        crl_url: str = "",
        issuer_url: str = "",
    ) -> Authority:
        """An authority below this one, with its limits: what certificates are issued by, so that the root can rest.

        Its end is never later than that of this one.
        """
        private = new_key(_known_key(key, self.limits))
        own = _authority_extensions(private.public_key(), path_length, self.limits)
        own[x509.AuthorityKeyIdentifier] = (key_identifier(self.certificate, self._key), False)
        der = self._certify(_subject(name), private.public_key(), own, lifetime)
        return Authority(
            (der, *self.chain),
            private,
            limits=self.limits,
            crl_url=crl_url,
            issuer_url=issuer_url,
            clock=self._clock,
        )

    def issue(
        self, *texts: str, kind: Kind | None = None, key: str = "p256", lifetime: timedelta | None = None
    ) -> IssuedIdentity:
        """A fresh key, and a certificate for it.

        ``texts``     names: see :mod:`handfast.authority.names`. They stand in the subjectAltName, and the first DNS
                      name or e-mail address in the subject too, for people
        ``kind``      "server", "client", "both" or "spiffe"; without one, "spiffe" for a SPIFFE id, else "server"
        ``lifetime``  30 days without one, 24 hours of a SPIFFE id; never beyond the authority's own end

        What is made has been verified before it is returned. Raises ConfigurationError.
        """
        found = names.general_names(texts)
        private = new_key(_known_key(key))
        chain = self._issue(found, private.public_key(), kind, lifetime)
        return IssuedIdentity(chain, private)

    def sign(
        self,
        request: Request,
        *texts: str,
        allow: Iterable[str] = (),
        drop_others: bool = False,
        kind: Kind | None = None,
        lifetime: timedelta | None = None,
    ) -> tuple[bytes, ...]:
        """A certificate for the key of a request: the chain, DER.

        ``texts``        the names of the certificate
        ``allow``        domains and networks: names of the request within them are granted too
        ``drop_others``  leave out what else the request asks for. Without it, such a request is refused

        Raises ConfigurationError: REQUEST_FOR_OTHER_NAMES, REQUEST_REFUSED, NAME_NOT_ISSUED, AUTHORITY_ENDED.
        """
        found = request.granted(texts, Limits.allowing(allow), drop_others=drop_others)
        try:
            return self._issue(found, request.key, kind, lifetime)
        except CertificateError as error:  # such as a weak key: the one thing that is the request's own
            evidence = {name: value for name, value in error.evidence.items() if name not in ("position", "issuer")}
            raise ConfigurationError(
                REQUEST_REFUSED, request=request.source, problem=error.reason.sentence, **evidence
            ) from None

    def revocations(
        self, revoked: Iterable[Revoked], number: int, lifetime: timedelta = lifetimes.REVOCATIONS
    ) -> bytes:
        """A certificate revocation list (RFC 5280 section 5): DER.

        ``number``    each list has a higher one than those before it
        ``lifetime``  until when there is to be a new one
        """
        now = self._clock.wall().replace(microsecond=0)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now)
            .next_update(now + lifetime)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(key_identifier(self.certificate, self._key), critical=False)
        )
        for item in revoked:
            builder = builder.add_revoked_certificate(item.entry())
        return builder.sign(self._key, hash_for(self._key)).public_bytes(Encoding.DER)

    # --- what all of these do

    def _issue(
        self, found: list[x509.GeneralName], public_key: Any, kind: Kind | None, lifetime: timedelta | None
    ) -> tuple[bytes, ...]:
        kind = _kind(found, kind)
        self.limits.check(found)
        common = names.common_name(found)
        own = of_leaf(
            public_key,
            key_identifier(self.certificate, self._key),
            _USAGES[kind],
            found,
            critical_names=not common,  # RFC 5280 section 4.2.1.6
        )
        if self.crl_url:
            place = x509.DistributionPoint([x509.UniformResourceIdentifier(self.crl_url)], None, None, None)
            own[x509.CRLDistributionPoints] = (x509.CRLDistributionPoints([place]), False)
        if self.issuer_url:
            access = x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(self.issuer_url)
            )
            own[x509.AuthorityInformationAccess] = (x509.AuthorityInformationAccess([access]), False)
        der = self._certify(_subject(common), public_key, own, lifetime or lifetimes.LEAF[kind])
        # The root is not sent: who trusts it has it, and who has it not does not trust it (RFC 9846 section 4.5.1).
        chain = (der, *self.chain[:-1])
        self._verify(chain, kind)
        return chain

    def _certify(self, subject: x509.Name, public_key: Any, own: Any, lifetime: timedelta) -> bytes:
        ours = self.certificate
        until = validity(self._clock.wall(), lifetime, (ours.not_valid_before_utc, ours.not_valid_after_utc))
        return certify(subject, public_key, ours.subject, self._key, own, until)

    def _verify(self, chain: tuple[bytes, ...], kind: Kind) -> None:
        """Nothing is handed out that our own verifier would refuse."""
        verifier, now = ChainVerifier(self.trust, remember=0), self._clock.wall()
        if kind != "client":
            verifier.verify_unnamed_server(chain, now)
        if kind != "server":
            verifier.verify_client(chain, now)

    def check(self) -> None:
        """Raises a CertificateError where our own verifier would refuse what this authority issues."""
        public, now = new_key("p256").public_key(), lifetimes.BACKDATED
        nobody = [x509.RFC822Name("nobody@authority.invalid")]  # of a kind that the certificates do not limit
        identifier = key_identifier(self.certificate, self._key)
        own = of_leaf(public, identifier, _USAGES["client"], list(nobody), critical_names=False)
        chain = (self._certify(_subject("nobody"), public, own, now), *self.chain[:-1])
        self._verify(chain, "client")

    @property
    def private_key(self) -> Any:
        """Its key, of `cryptography`."""
        return self._key

    @property
    def der(self) -> bytes:
        """Its own certificate."""
        return self.chain[0]

    @property
    def pem(self) -> bytes:
        """The root's certificate as PEM: what others have to trust."""
        return pem.certificate(self.chain[-1])

    @property
    def trust(self) -> TrustStore:
        """A store of nothing but the root."""
        name = x509.load_der_x509_certificate(self.chain[-1]).subject.rfc4514_string()
        return TrustStore.from_bytes(self.chain[-1], source=f"authority {name}")

    def __repr__(self) -> str:
        return f"<Authority {self.certificate.subject.rfc4514_string()}>"


def _known_key(kind: str, limits: Limits | None = None) -> str:
    if kind not in KEY_KINDS:
        raise ConfigurationError(setting="key", problem=f"no kind of key is called {kind}", known=KEY_KINDS)
    if kind == "ed25519" and limits:
        # `cryptography`'s verifier has no Ed25519 authorities, and nothing else in handfast enforces limits.
        raise ConfigurationError(
            setting="key", problem="an Ed25519 authority cannot have limits: handfast's own clients would refuse it"
        )
    return kind


def _kind(found: Sequence[x509.GeneralName], kind: Kind | None) -> Kind:
    if not found:
        raise ConfigurationError(NAME_NOT_ISSUED, name="", problem="a certificate is for at least one name")
    ids = [name for name in found if isinstance(name, x509.UniformResourceIdentifier)]
    spiffe = any(map(names.is_spiffe, ids))
    chosen = known_kind(kind or ("spiffe" if spiffe else "server"))
    if spiffe and len(ids) > 1:
        problem = "a certificate with a SPIFFE id has one, and no other URI (X.509-SVID section 2)"
        raise ConfigurationError(NAME_NOT_ISSUED, name=", ".join(map(names.text_of, ids)), problem=problem)
    if spiffe and chosen in ("server", "client"):
        problem = "whoever has a SPIFFE id is a server and a client (X.509-SVID section 4.4): leave out the kind"
        raise ConfigurationError(
            NAME_NOT_ISSUED, name=next(names.text_of(name) for name in ids if names.is_spiffe(name)), problem=problem
        )
    if chosen == "spiffe" and not spiffe:
        raise ConfigurationError(
            NAME_NOT_ISSUED,
            name=names.text_of(found[0]),
            problem="a certificate of the kind spiffe needs a SPIFFE id, such as spiffe://example.org/web",
        )
    if chosen == "server" and not any(isinstance(name, (x509.DNSName, x509.IPAddress)) for name in found):
        raise ConfigurationError(
            NAME_NOT_ISSUED,
            name=names.text_of(found[0]),
            problem="a server is asked for by a DNS name or an IP address; for a client there is the kind client",
        )
    return chosen


def _subject(common_name: str) -> x509.Name:
    if not common_name:
        return x509.Name([])
    if len(common_name) > _NAME_MOST or not common_name.isprintable() or common_name != common_name.strip():
        problem = (
            f"the name of an authority has at most {_NAME_MOST} printable characters, the first and last no blanks"
        )
        raise ConfigurationError(setting="name", problem=problem)
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _authority_extensions(public_key: Any, path_length: int | None, limits: Limits | None) -> Any:
    own = of_authority(public_key, path_length)
    constraints = limits.extension() if limits else None
    if constraints is not None:
        own[x509.NameConstraints] = (constraints, True)  # RFC 5280 section 4.2.1.10
    return own

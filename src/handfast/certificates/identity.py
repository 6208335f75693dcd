"""Who we prove to be."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from cryptography.x509.oid import SignatureAlgorithmOID

from handfast.certificates import loading, notes, pem
from handfast.certificates.arranged import arranged
from handfast.certificates.notes import Note
from handfast.certificates.ownership import is_signer, mismatch, ownership, public_key
from handfast.certificates.parsed import Parsed, parsed
from handfast.crypto import signatures
from handfast.crypto.guard import Guarded
from handfast.errors import CertificateUnreadable, ConfigurationError, shown
from handfast.reasons import KEY_MISMATCH, NOT_A_CERTIFICATE
from handfast.wire.codepoints import SignatureScheme as S

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Self

    from handfast.certificates.usages import Purpose


# The schemes that say of a certificate's signature that it can be verified; the curve is the issuer's affair.
SIGNED_BY: Final = {
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: (S.ECDSA_SECP256R1_SHA256,),
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: (S.ECDSA_SECP384R1_SHA384,),
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: (S.ECDSA_SECP521R1_SHA512,),
    SignatureAlgorithmOID.RSA_WITH_SHA256: (S.RSA_PKCS1_SHA256,),
    SignatureAlgorithmOID.RSA_WITH_SHA384: (S.RSA_PKCS1_SHA384,),
    SignatureAlgorithmOID.RSA_WITH_SHA512: (S.RSA_PKCS1_SHA512,),
    SignatureAlgorithmOID.ED25519: (S.ED25519,),
    SignatureAlgorithmOID.ED448: (S.ED448,),
}


@runtime_checkable
class Signer(Protocol):
    """A private key, wherever it is: in this process, in a token, behind a network.

    ``schemes``  the signature schemes that it can sign with, best first (RFC 9846 section 4.3.3)

    One that takes its time returns an awaitable, or is run in threads: :class:`handfast.signers.Threaded`. Others would
    wait for it on an event loop.
    """

    schemes: tuple[int, ...]

    def sign(self, scheme: int, content: bytes) -> bytes | Awaitable[bytes]:
        """The signature of ``content`` by one of ``schemes``; what it raises ends the handshake."""


OnNote = Callable[[Note], object] | None


class LocalSigner(Guarded):
    """A private key in this process, as an object of `cryptography`."""

    __slots__ = ("_key", "schemes")

    def __init__(self, key: signatures.PrivateKey, *, pss: signatures.PssKey | None = None) -> None:
        """``pss``: the certificate calls the key id-RSASSA-PSS, and may limit it further."""
        self._key = key
        of_12 = signatures.schemes_of(key, signatures.SCHEMES_12, pss=pss)
        self.schemes = tuple(dict.fromkeys((*signatures.schemes_of(key, pss=pss), *of_12)))

    def sign(self, scheme: int, content: bytes) -> bytes:
        """Sign with the key, at once."""
        return signatures.sign(self._key, scheme, content)


class Identity(Guarded):
    """What we prove to be: a chain of certificates and the key of the first one.

    ``chain``    DER, our own certificate first; sent as it is (RFC 9846 section 4.5.1)
    ``fingerprint``  SHA-256 of our own certificate
    ``signer``   the key
    ``schemes``  what it can sign with in TLS 1.3, best first
    ``schemes_12``  likewise in TLS 1.2
    ``kind``     of its key: "rsa", "secp256r1", "ed25519", ...
    ``names``    the DNS names and IP addresses in our certificate; a server chooses its identity by them
    ``notes``    what was put right when it was loaded: the order, and what is not sent

    Can be shared by any number of configurations and connections. Cannot be copied or pickled.
    """

    __slots__ = ("_issuers", "_leaf", "_signatures", "chain", "fingerprint", "kind", "names", "notes", "schemes", "schemes_12", "signer")  # fmt: skip

    def __init__(self, chain: Sequence[bytes], key: Signer | signatures.PrivateKey) -> None:
        """``chain``: DER, leaf first, sent as it is. ``key``: a private key of `cryptography`, or a Signer.

        Raises ConfigurationError: NOT_A_CERTIFICATE, KEY_MISMATCH, or BAD_CONFIGURATION for a key that TLS has no
        signature scheme for, in either version. Whether a Signer fits its certificate shows only when it signs.
        """
        self.notes: tuple[Note, ...] = ()
        self.chain = tuple(bytes(der) for der in chain)
        certificates = _checked_chain(self.chain, "the given chain")
        self._leaf = certificates[0]
        self.fingerprint = hashlib.sha256(self.chain[0]).digest()
        self._issuers = frozenset(certificate.raw.issuer for certificate in certificates)
        signatures_of = (
            SIGNED_BY.get(each.certificate.signature_algorithm_oid) for each in certificates if not each.self_issued
        )
        self._signatures = frozenset(ways for ways in signatures_of if ways)
        self.signer: Signer = key if is_signer(key) else _local_signer(key, self.chain, self._leaf)
        leaf = self._leaf
        can = self.signer.schemes
        self.kind = "" if leaf.key is None else signatures.kind_of(leaf.key, pss=leaf.pss)
        # A signer may list more than goes with the certificate's key in one version or the other.
        self.schemes, self.schemes_12 = (
            tuple(
                scheme for scheme in can if leaf.key and scheme in signatures.schemes_of(leaf.key, table, pss=leaf.pss)
            )
            for table in (signatures.SCHEMES, signatures.SCHEMES_12)
        )
        self.names = self._leaf.names.texts
        if not self.schemes and not self.schemes_12:
            raise ConfigurationError(
                setting="identity", problem="TLS has no signature scheme for this kind of key", key=self._leaf.kind
            )

    @classmethod
    def load(
        cls,
        certificate_path: pem.PathLike,
        key: pem.PathLike | Signer | None = None,
        password: loading.Password = None,
        *,
        on_note: OnNote = None,
    ) -> Self:
        """From files: the certificates in PEM or DER, and the key in PEM or DER, or a Signer.

        Without ``key`` one file holds both: PEM, or PKCS#12. The certificates may come in any order. The chain of the
        one that the key belongs to is sent; what is left out of it is said to ``on_note``, and stands in ``notes``.
        ``password`` may be a function, which is called where the key is encrypted.

        A Signer signs once, to show which certificate its key belongs to. One that is async does not: then our own
        certificate has to come first.

        Raises ConfigurationError, naming the file and the cause: FILE_UNREADABLE, NOT_A_CERTIFICATE, NOT_A_KEY,
        KEY_ENCRYPTED, PASSWORD_TOO_SLOW, KEY_MISMATCH.
        """
        path = os.fspath(certificate_path)
        data = pem.read(certificate_path)
        if loading.is_pkcs12(data):
            private, ders = loading.from_pkcs12(data, password, path)
            own: Signer | signatures.PrivateKey = private if key is None else _key_of(key, password)
        else:
            ders = pem.certificates(data)
            _checked_chain(ders, path, pem.instead(data))
            own = loading.private_key(data, password, path) if key is None else _key_of(key, password)
        files = {} if key is None or isinstance(key, Signer) else {"file": os.fspath(key)}
        return cls._matched(ders, own, on_note, notes.of_a_file(data, path), **files, certificate_file=path)

    @classmethod
    def from_pem(
        cls,
        certificates: bytes,
        key: bytes | Signer,
        password: loading.Password = None,
        *,
        on_note: OnNote = None,
        arrange: bool = True,
    ) -> Self:
        """From memory: PEM of the certificates, as :meth:`load` takes them, and PEM of the key, or a Signer.

        Without ``arrange`` the chain is sent as it stands there, our own certificate first; one that is cut is refused.
        """
        ders = pem.certificates(certificates) if pem.is_pem(certificates) else []
        pkcs12 = "it is PKCS#12, which Identity.load and from_pkcs12 take" if loading.is_pkcs12(certificates) else ""
        _checked_chain(ders, "the given certificates", pkcs12 or pem.instead(certificates))
        if not arrange and pem.is_cut(certificates):
            raise ConfigurationError(NOT_A_CERTIFICATE, file="the given certificates", problem=pem.CUT)
        own = _key_in(key, password)
        found = notes.of_a_file(certificates, "the given certificates")
        return cls._matched(ders, own, on_note, found) if arrange else cls(ders, own)

    @classmethod
    def from_der(
        cls,
        chain: Sequence[bytes],
        key: bytes | Signer,
        password: loading.Password = None,
        *,
        on_note: OnNote = None,
    ) -> Self:
        """From memory: DER of each certificate, and DER of the key (PKCS#8, PKCS#1 or SEC 1), or a Signer."""
        _checked_chain(chain, "the given certificates")
        return cls._matched(chain, _key_in(key, password), on_note)

    @classmethod
    def from_pkcs12(cls, data: bytes, password: loading.Password = None, *, on_note: OnNote = None) -> Self:
        """From memory: PKCS#12, which holds the key and its chain (RFC 7292)."""
        key, ders = loading.from_pkcs12(data, password, "the given PKCS#12")
        return cls._matched(ders, key, on_note)

    @classmethod
    def _matched(
        cls,
        ders: Sequence[bytes],
        key: Signer | signatures.PrivateKey,
        on_note: OnNote,
        before: tuple[Note, ...] = (),
        **files: str,
    ) -> Self:
        """The identity of the certificate among ``ders`` that the key belongs to. ``before``: the notes there are."""
        try:
            certificates = [parsed(bytes(der)) for der in ders]
            found = arranged(certificates, ownership(key, certificates))
            if found is None:
                raise mismatch(key, certificates)
            identity = cls(found.chain, key)
        except ConfigurationError as error:
            raise ConfigurationError(error.reason, **files, **error.evidence) from None
        identity.notes = before + found.notes
        if on_note is not None:
            for note in identity.notes:
                on_note(note)
        return identity

    def concerns(self, purpose: Purpose, now: datetime) -> tuple[Note, ...]:
        """Why peers may refuse us ``now``, an aware time, as a "server" or as a "client".

        A certificate that has expired, or is for something else, or has no names; an intermediate that is missing.
        """
        return tuple(notes.concerns(self.chain, purpose, now))

    def fits(self, server_name: str | None) -> bool:
        """Whether our certificate is for this name, wildcards included; any is for a client that names none."""
        return server_name is None or server_name.lower().removesuffix(".") in self._leaf.names

    def signed_by(self, schemes: Collection[int]) -> bool:
        """Whether the certificates we send are all signed in one of these ways (RFC 9846 section 4.5.1.2).

        A self-signed one is not looked at, nor a signature that no scheme of RFC 9846 is for.
        """
        return all(any(way in schemes for way in ways) for ways in self._signatures)

    def issued_by(self, names: Collection[bytes]) -> bool:
        """Whether a certificate of our chain was issued by one of these (distinguished names, DER).

        So does a client choose for a server that says in certificate_authorities whom it trusts (RFC 9846 section
        4.3.4), and the other way round.
        """
        return not self._issuers.isdisjoint(names)

    def __repr__(self) -> str:
        return f"<Identity {shown(self.names or self._leaf.subject)}>"


def _checked_chain(chain: Sequence[bytes], source: str, instead: str = "") -> list[Parsed]:
    """The certificates; at least one, and all can be parsed. ``instead``: what else is there."""
    if not chain:
        raise ConfigurationError(NOT_A_CERTIFICATE, file=source, problem=instead or "it has none")
    try:
        return [parsed(bytes(der)) for der in chain]
    except CertificateUnreadable as error:
        raise ConfigurationError(NOT_A_CERTIFICATE, file=source, problem=error.evidence["problem"]) from None


def _local_signer(key: signatures.PrivateKey, chain: Sequence[bytes], leaf: Parsed) -> LocalSigner:
    public = public_key(key)
    if public != leaf.key:
        owner = next((n for n, der in enumerate(chain, 1) if parsed(der).key == public), None)
        raise ConfigurationError(
            KEY_MISMATCH,
            certificate=leaf.subject,
            **({"problem": f"it belongs to certificate {owner}; our own has to come first"} if owner else {}),
        )
    return LocalSigner(key, pss=leaf.pss)


def _key_of(key: pem.PathLike | Signer, password: loading.Password) -> Signer | signatures.PrivateKey:
    if isinstance(key, Signer):
        return key
    if os.fspath(key).lower().startswith("pkcs11:"):  # which may have a PIN in it, so it is not shown
        problem = "a key in a token is given as a Signer: handfast.signers.Pkcs11Signer(uri)"
        raise ConfigurationError(setting="key", problem=problem)
    return loading.private_key(pem.read(key), password, os.fspath(key))


def _key_in(key: bytes | Signer, password: loading.Password) -> Signer | signatures.PrivateKey:
    return key if isinstance(key, Signer) else loading.private_key(key, password, "the given key")

"""From flags to configurations: who we are, whom we accept, and what we offer."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from handfast import ASK, ClientConfig, Identity, PeerIdentity, ServerConfig
from handfast.certificates.identity import Signer
from handfast.certificates.parsed import parsed
from handfast.certificates.rules import findings
from handfast.certificates.usages import Purpose
from handfast.crypto.groups import GROUPS
from handfast.crypto.signatures import SCHEMES, SCHEMES_12
from handfast.crypto.suites import SUITES, SUITES_12
from handfast.errors import CertificateRefused, CertificateUsageError, HandshakeRefused
from handfast.handshake.negotiate import client_identity
from handfast.handshake.negotiate12 import client_identity as client_identity_12
from handfast.insecure import NoVerification
from handfast.profiles import INTERMEDIATE, KNOWN_SCHEMES
from handfast.sessions.external import ExternalPsk
from handfast.wire.codepoints import CipherSuite, SignatureScheme
from handfast.wire.hello import ClientHello
from handfast.wire.messages12 import CertificateRequest12
from handfast.wire.messages13 import CertificateRequest
from tests.bogo.flags import TLS_1_2, TLS_1_3, Credential, Options, Unimplemented
from tests.bogo.later import answered
from tests.bogo.sessions import Server, Sessions, Shared

_MAX_EARLY_DATA = 14_336  # bytes that BoringSSL takes; the runner sends one more, to see it refused
_INITIAL_WRITE = "hello"
_VERSION_NAMES = {TLS_1_2: "1.2", TLS_1_3: "1.3"}

# Signatures with hashes that are broken: handfast never makes or accepts one, and leaves them out of its lists.
_BROKEN = (
    0x0201,  # rsa_pkcs1_sha1
    0x0203,  # ecdsa_sha1
    0xFF01,  # the runner's number for the pair of MD5 and SHA-1 that TLS 1.1 had
)

# What the runner takes for granted that a shim accepts unasked; handfast's own default has more.
_DEFAULT_SCHEMES = (
    SignatureScheme.ECDSA_SECP256R1_SHA256,
    SignatureScheme.RSA_PSS_RSAE_SHA256,
    SignatureScheme.RSA_PKCS1_SHA256,
    SignatureScheme.ECDSA_SECP384R1_SHA384,
    SignatureScheme.RSA_PSS_RSAE_SHA384,
    SignatureScheme.RSA_PKCS1_SHA384,
    SignatureScheme.RSA_PSS_RSAE_SHA512,
    SignatureScheme.RSA_PKCS1_SHA512,
)


class Verifier:
    """Accepts every chain whose first certificate may be used for TLS, unless the flags say that it has to be refused.

    ``calls``     how many chains it has seen
    ``trust_id``  every connection of a test trusts the same, so that sessions may be resumed
    """

    trust_id = b"all chains"

    def __init__(self, options: Options) -> None:
        self.options = options
        self.calls = 0

    def verify_server(self, chain: Sequence[bytes], server_name: str | None, now: datetime) -> Any:
        return answered(self.options, lambda: self._verify(chain, now, "server"))

    def verify_client(self, chain: Sequence[bytes], now: datetime) -> Any:
        return answered(self.options, lambda: self._verify(chain, now, "client"))

    def check_again(self, peer: PeerIdentity, now: datetime) -> Any:
        """-reverify-on-resume: look at the chain of a session that is resumed. One that has just been verified will do."""
        if self.calls:
            return None
        purpose: Purpose = "client" if self.options.server else "server"
        return answered(self.options, lambda: self._verify(peer.chain, now, purpose) and None)

    def _verify(self, chain: Sequence[bytes], now: datetime, purpose: Purpose) -> PeerIdentity:
        self.calls += 1
        # A client that was not told to verify goes on with whatever it finds.
        options = self.options
        heeded = options.server or options.verify_peer or options.require_any_client_certificate
        if options.verify_fail and heeded:
            custom = options.use_custom_verify_callback
            raise CertificateRefused(alert="certificate_unknown" if custom else "handshake_failure")
        peer = NoVerification().verify_server(chain, None, now)
        usage = findings(parsed(chain[0]), "leaf", purpose).usage
        if usage is not None:
            raise CertificateUsageError(problem=usage)
        return peer


class _Signer:
    """A key that signs in the order of the flags, and with -async not at once."""

    def __init__(self, key: Signer, schemes: tuple[int, ...], options: Options) -> None:
        self._key = key
        self._options = options
        self.schemes = schemes

    def sign(self, scheme: int, content: bytes) -> Any:
        return answered(self._options, lambda: self._key.sign(scheme, content))


class Identities:
    """Our certificates and keys, in the order of preference: those of -new-...-credential, and then the default one.

    ``all``   the certificates
    ``psks``  the keys, by their identities, with the numbers of their flags
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._credentials = [*options.credentials, options.default]
        self._loaded = [self._load(credential) for credential in self._credentials]
        self.all = tuple(identity for identity in self._loaded if identity is not None)
        role = "server" if options.server else "client"
        self.psks = {
            psk.identity: (number, psk)
            for number, credential in enumerate(options.credentials)
            for psk in imported(credential, role)
        }

    def _load(self, credential: Credential) -> Identity | None:
        if not credential.cert_file or not credential.key_file:
            return None
        identity = Identity.load(credential.cert_file, credential.key_file)
        # What only TLS 1.2 signs with stays in the list: handfast has to keep it out of TLS 1.3 by itself.
        wanted = tuple(credential.signing_prefs) or identity.signer.schemes
        if not set(wanted) & set(identity.signer.schemes):
            raise Unimplemented(f"signature scheme {wanted[0]}")
        return Identity(identity.chain, _Signer(identity.signer, wanted, self._options))

    def index(self, identity: Identity | None) -> int:
        """As -expect-selected-credential counts: -1 is the default one, or none."""
        if identity is None or identity is self._loaded[-1]:
            return -1
        return self._loaded.index(identity)

    @property
    def several(self) -> bool:
        """Whether the flags describe a list, of which the first that is possible has to be used."""
        return bool(self._options.credentials)

    def possible(self, authorities: Sequence[bytes] | None) -> tuple[Identity, ...]:
        """Those that may be used for a peer that names these authorities."""
        return tuple(
            identity
            for credential, identity in zip(self._credentials, self._loaded, strict=True)
            if identity is not None and (not credential.must_match_issuer or identity.issued_by(authorities or ()))
        )

    def for_request(self, request: CertificateRequest | CertificateRequest12) -> Identity | None:
        """A client's choice; None for no certificate."""
        decide = client_identity_12 if isinstance(request, CertificateRequest12) else client_identity
        return decide(self.possible(request.certificate_authorities), request, chosen=True)[0]


def imported(credential: Credential, role: Any) -> list[ExternalPsk]:
    """A key for every hash that handfast has, as BoringSSL does it."""
    if credential.psk_importer_key is None:
        return []
    key, identity, context = (
        base64.b64decode(value)
        for value in (credential.psk_importer_key, credential.psk_importer_identity, credential.psk_importer_context)
    )
    key_hash = "sha384" if credential.psk_importer_sha384 else "sha256"
    return [
        ExternalPsk.imported(identity, key, role=role, context=context, hash_name=target, key_hash=key_hash)
        for target in ("sha256", "sha384")
    ]


class Secrets:
    """Keeps the secrets that a key log is given, by their labels."""

    def __init__(self) -> None:
        self.by_label: dict[str, bytes] = {}

    def secret(self, label: str, client_random: bytes, secret: bytes) -> None:
        self.by_label[label] = secret


class Setting:
    """All that one connection is set up with. ``resumes``: whether it is to resume the one before."""

    def __init__(self, options: Options, shared: Shared, *, resumes: bool = False) -> None:
        self.options = options
        self.shared = shared
        self.resumes = resumes
        self.identities = Identities(options)
        self.verifier = Verifier(options)
        self.secrets = Secrets()
        self.sessions = Sessions(options, shared)
        self.known = Server(options, shared)

    def client(self) -> ClientConfig:
        """The configuration of a client."""
        options = self.options
        return ClientConfig(
            verifier=self.verifier,
            identities=self.identities.all,
            # The runner's order counts alone: handfast would leave out what leads to no authority that is named.
            choose_identity=self._choose_for_server,
            alpn=_protocols(options.advertise_alpn),
            key_shares=() if options.no_key_shares else _known(options.key_shares, GROUPS, "group") or None,
            sessions=None if options.no_ticket else self.sessions,
            psks=[psk for _, psk in self.identities.psks.values()],
            **self._common(),
        )

    def retry(self) -> None:
        """The server has not taken early data. BoringSSL's users start again at this point, with flags of its own."""
        self.options = self.verifier.options = self.options.on_retry
        self.verifier.calls = 0  # so a session's chain is looked at again

    @property
    def early_data(self) -> bytes:
        """What a client sends before the server has answered: as much as its session allows of what it writes first."""
        options, session = self.options, self.shared.session
        if options.server or session is None or not (options.enable_early_data and options.shim_writes_first):
            return b""
        return first_write(options)[: session.max_early_data]

    def _choose_for_server(self, request: CertificateRequest | CertificateRequest12) -> Any:
        return answered(self.options, lambda: self._identity_for(request))

    def _identity_for(self, request: CertificateRequest | CertificateRequest12) -> Identity | None:
        self._fail_if_wanted()
        identity = self.identities.for_request(request)
        if identity is None and self.identities.all:
            raise HandshakeRefused(alert="handshake_failure", problem="none of our certificates is what is asked for")
        return identity

    def server(self) -> ServerConfig:
        """The configuration of a server."""
        options = self.options
        if options.use_early_callback:
            return self._server((), reviewed=True)  # it is the callback that says which certificates there are
        reviewed = options.install_ddos_callback or options.fail_early_callback or self.identities.several
        return self._server(self.identities.all, reviewed=reviewed)

    def _server(self, identities: Sequence[Identity], *, reviewed: bool) -> ServerConfig:
        options = self.options
        keys = {identity: psk for identity, (_, psk) in self.identities.psks.items()}
        return ServerConfig(
            identities=identities,
            on_client_hello=self._hook(self.review) if reviewed else None,
            choose_identity=self._hook(self.choose_for_client) if self.identities.all else None,
            client_authentication=self._client_authentication(),
            client_verifier=self.verifier,
            client_authorities=distinguished_names(options.use_client_ca_list),
            alpn=self._alpn(),
            tickets=None if options.no_ticket else self.known,
            session_cache=self.known,
            psks=keys or None,
            early_data=self.known if options.enable_early_data else None,
            max_early_data=_MAX_EARLY_DATA,
            **self._common(),
        )

    def _hook(self, callback: Callable[[ClientHello], Any]) -> Any:
        """A callback; with -async the question that takes its place, see Exchange."""
        return ASK if self.options.async_ else callback

    def review(self, hello: ClientHello) -> ServerConfig | None:
        """Look at a ClientHello before anything is decided."""
        options = self.options
        if options.fail_early_callback:
            raise HandshakeRefused(alert="handshake_failure", problem="-fail-early-callback")
        if options.fail_ddos_callback:
            raise HandshakeRefused(alert="internal_error", problem="-fail-ddos-callback")
        possible = self.identities.possible(hello.certificate_authorities)
        if not possible and not self.identities.psks:
            raise HandshakeRefused(alert="handshake_failure", problem="no certificate has an issuer that is named")
        return self._server(possible, reviewed=False)

    def choose_for_client(self, hello: ClientHello) -> Identity | None:
        """Leave the choice to handfast, or fail where the flags want that."""
        self._fail_if_wanted()
        return None

    def _fail_if_wanted(self) -> None:
        if self.options.fail_cert_callback:
            raise RuntimeError("-fail-cert-callback")

    def _client_authentication(self) -> Any:
        if self.options.verify_peer or self.identities.psks:  # a key from outside and "required" do not go together
            return "optional"
        return "required" if self.options.require_any_client_certificate else "none"

    def _alpn(self) -> list[bytes]:
        """-reject-alpn: a protocol that no client of the runner has, so that none is in common."""
        if self.options.reject_alpn:
            return [b"none in common"]
        return [_bytes(self.options.select_alpn)] if self.options.select_alpn else []

    def _common(self) -> dict[str, Any]:
        versions = [_VERSION_NAMES[version] for version in self.options.versions]
        settings: dict[str, Any] = {
            "keylog": self.secrets,
            "clock": self.shared.clock,
            "signature_schemes": _DEFAULT_SCHEMES,
            "min_version": versions[0],
            "max_version": versions[-1],
            "cipher_suites": cipher_suites(self.options.cipher),
        }
        if self.options.reverify_on_resume:
            settings["check_peer"] = lambda peer: self.verifier.check_again(peer, self.shared.clock.wall())
        if self.options.curves:
            settings["groups"] = _known(self.options.curves, GROUPS, "group")
        if self.options.verify_prefs:
            settings["signature_schemes"] = self._accepted_schemes()
        return settings

    def _accepted_schemes(self) -> Sequence[int]:
        """-verify-prefs, as far as it is not broken."""
        wanted = [scheme for scheme in self.options.verify_prefs if scheme not in _BROKEN]
        schemes = _known(wanted, KNOWN_SCHEMES, "signature scheme")
        if schemes:
            # Without a scheme handfast would leave out a version. The runner wants to see it refuse them, as it must.
            for of_version, another in (
                (SCHEMES, SignatureScheme.MLDSA44),
                (SCHEMES_12, SignatureScheme.RSA_PKCS1_SHA512),
            ):
                if not set(schemes) & set(of_version):
                    schemes.append(another)
        return schemes or _DEFAULT_SCHEMES


def _known(wanted: Sequence[int], ours: Any, what: str) -> list[int]:
    """Code points, all of which handfast has to have."""
    for code_point in wanted:
        if code_point not in ours:
            raise Unimplemented(f"{what} {code_point}")
    return list(wanted)


def cipher_suites(listed: str | None) -> list[int] | None:
    """-cipher, which is about TLS 1.2 alone, without the suites that handfast does not have; None for the default.

    BoringSSL's lists are a small language. This is what the tests use of it: names, and two lists that are known. Of
    suites in brackets it is the client that chooses, which handfast leaves to it where ChaCha20 is concerned.
    """
    if listed is None or listed.startswith("ALL:"):
        return None
    default = INTERMEDIATE.cipher_suites
    of_13 = [suite for suite in default if suite in SUITES]
    if listed == "DEFAULT:!AES":
        return [suite for suite in default if "_WITH_AES_" not in CipherSuite.name(suite)]
    named = [CipherSuite.value(name.strip("[]")) for name in listed.replace("|", ":").split(":")]
    of_12 = [suite for suite in named if suite in SUITES_12]
    if not of_12:
        raise Unimplemented(f"cipher suites {listed}")
    return [*of_13, *of_12]


def first_write(options: Options) -> bytes:
    """What a shim that writes first writes."""
    return _bytes(options.shim_initial_write or _INITIAL_WRITE) * (options.repeat_shim_initial_write or 1)


def _bytes(text: str) -> bytes:
    """An argument as bytes: the runner puts any bytes into it."""
    return text.encode("utf-8", "surrogateescape")


def _protocols(wire: str | None) -> list[bytes]:
    """-advertise-alpn has the list as it goes over the wire, each name with its length before it."""
    rest = _bytes(wire or "")
    names = []
    while rest:
        length = rest[0]
        names.append(rest[1 : 1 + length])
        rest = rest[1 + length :]
    return names


def distinguished_names(listed: str | None) -> list[bytes]:
    """Distinguished names (DER), as -use-client-ca-list and -expect-client-ca-list have them: in hexadecimal."""
    if listed is None or listed in ("<NULL>", "<EMPTY>"):
        return []
    return [bytes.fromhex(name) for name in listed.split(",")]

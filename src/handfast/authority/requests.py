"""Requests for certificates (PKCS#10, RFC 2986): who has the key asks, and whoever has the authority says for what.

Of a request only its key is used, and its names where they are allowed. Its extensions are never copied: a request may
ask to be an authority.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from handfast.authority import names
from handfast.certificates import pem
from handfast.errors import ConfigurationError
from handfast.limits import NAMES_OF_A_SIGNING_REQUEST, SIGNING_REQUEST
from handfast.reasons import REQUEST_FOR_OTHER_NAMES, REQUEST_REFUSED

if TYPE_CHECKING:
    from handfast.authority.names import Limits


class Asked:
    """What stands in a request, whoever has made it: to be looked at. One that can be signed is a :class:`Request`.

    ``request``    the same for `cryptography`
    ``key``        the public key
    ``names``      the names that it asks for, as they stand there
    ``subject``    as RFC 4514 writes it: for people, and not for the certificate
    ``others``     the other extensions that it asks for
    ``is_signed``  whether it is signed by its key; None for a signature of a kind that is not known here
    """

    pss: Final = None  # what a certificate may say of its key besides

    def __init__(self, data: bytes, source: str = "the given request") -> None:
        """``data``: PEM or DER. Raises ConfigurationError (REQUEST_REFUSED)."""
        if len(data) > SIGNING_REQUEST:
            _refuse(source, f"a request of more than {SIGNING_REQUEST:,} bytes is not read")
        try:
            load = x509.load_pem_x509_csr if pem.is_pem(data) else x509.load_der_x509_csr
            self.request = load(data)
            extensions, self.key = self.request.extensions, self.request.public_key()
            self.is_signed = _is_signed(self.request)
            self.subject = self.request.subject.rfc4514_string()
        except Exception:  # whatever the parser trips over, in the request itself or in an extension
            _refuse(source, _instead(data))
        self.names: tuple[x509.GeneralName, ...] = ()
        others = []
        for extension in extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                self.names = tuple(extension.value)
            else:
                others.append(extension)
        self.others = tuple(others)
        self.source = source


class Request(Asked):
    """A request whose signature is good: who made it has the key.

    ``left_out``   the extensions that it asks for besides its names, by what they are called: none of them is granted
    """

    def __init__(self, data: bytes, source: str = "the given request") -> None:
        """``data``: PEM or DER. Raises ConfigurationError (REQUEST_REFUSED)."""
        super().__init__(data, source)
        if not self.is_signed:
            _refuse(source, "it is not signed by the key that it asks a certificate for, so it proves nothing")
        self.left_out = tuple(name_of(extension.oid) for extension in self.others)
        if len(self.names) > NAMES_OF_A_SIGNING_REQUEST:
            _refuse(source, f"it asks for {len(self.names)} names, and {NAMES_OF_A_SIGNING_REQUEST} is the most")

    def granted(self, named: Sequence[str], allowed: Limits, *, drop_others: bool = False) -> list[x509.GeneralName]:
        """The names of the certificate: those that are named, and those of the request that are allowed.

        A wildcard of the request is only granted by its name. So are URIs and e-mail addresses: they say who somebody is,
        a domain has many of them, and a SPIFFE id makes another kind of certificate.

        Raises ConfigurationError: REQUEST_FOR_OTHER_NAMES where the request asks for more than that, unless
        ``drop_others``; REQUEST_REFUSED where no name is left.
        """
        granted = names.general_names(named)
        others = []
        for asked in self.names:
            name = _checked(asked)
            if name is None:
                others.append(_shown(asked))
            elif name in granted:
                continue
            elif _is_plain_host(name) and any(names.covers(item, name) for item in allowed.permitted):
                granted.append(name)
            else:
                others.append(_shown(asked))
        if others and not drop_others:
            raise ConfigurationError(REQUEST_FOR_OTHER_NAMES, request=self.source, asked_for=others)
        if not granted:
            raise ConfigurationError(REQUEST_REFUSED, request=self.source, problem="there is no name to certify")
        return granted


def _is_signed(request: x509.CertificateSigningRequest) -> bool | None:
    try:
        return request.is_signature_valid
    except UnsupportedAlgorithm:
        return None


def _instead(data: bytes) -> str:
    """What is there, where it cannot be read as a request."""
    if not data:
        return "there is nothing in it"
    if b"CERTIFICATE REQUEST-----" not in data and b"-----BEGIN " in data:
        there = (
            "a certificate" if b"BEGIN CERTIFICATE-----" in data else "a private key" if b"PRIVATE KEY" in data else ""
        )
        return f"it is {there}, and no request" if there else "there is no request in it"
    return "it cannot be read: it is damaged, or it is no request (PKCS#10) in PEM or DER"


def _is_plain_host(name: x509.GeneralName) -> bool:
    return isinstance(name, (x509.DNSName, x509.IPAddress)) and not names.text_of(name).startswith("*.")


def _checked(name: x509.GeneralName) -> x509.GeneralName | None:
    """A name of a request in the form that we issue; None where it is no name that we issue."""
    kinds: dict[type[x509.GeneralName], str] = {
        x509.DNSName: "dns:",
        x509.IPAddress: "ip:",
        x509.RFC822Name: "email:",
        x509.UniformResourceIdentifier: "uri:",
    }
    kind = kinds.get(type(name))
    if kind is None:
        return None
    try:
        return names.general_name(f"{kind}{name.value}")
    except ConfigurationError:
        return None


def _shown(name: x509.GeneralName) -> str:
    return str(getattr(name, "value", name))


def name_of(oid: x509.ObjectIdentifier) -> str:
    """What an extension is called; its number where it has no name here."""
    known: Any = oid._name
    return oid.dotted_string if known == "Unknown OID" else str(known)


def _refuse(source: str, problem: str) -> NoReturn:
    raise ConfigurationError(REQUEST_REFUSED, request=source, problem=problem) from None

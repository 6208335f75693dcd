"""The names that an authority puts into certificates, and the limits that it may have been given.

A name is text as a user writes it: "www.example.com", "*.example.com", "192.0.2.1", "::1", "alice@example.com",
"spiffe://example.org/web", "https://example.com/id". The kind may be said before it: "dns:", "ip:", "email:", "uri:".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn
from urllib.parse import urlsplit

from cryptography import x509

from handfast.certificates.names import address, normalized
from handfast.certificates.spiffe import SCHEME as SPIFFE
from handfast.certificates.spiffe import SpiffeId
from handfast.errors import ConfigurationError
from handfast.reasons import NAME_NOT_ISSUED

COMMON_NAME_MOST: Final = 64  # characters (RFC 5280 appendix A.1, ub-common-name)
_EVERY_NETWORK: Final = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))

_NOT_OF_URIS: Final = frozenset('\\^`{|}"<>')  # RFC 3986 section 2 has none of them; browsers read \ as /
# What RFC 5321 calls a dot-string; quoted ones are refused: nobody has one, and few programs compare them well.
_MAILBOX: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def general_name(text: str) -> x509.GeneralName:
    """One name, checked, in the form in which it is compared. Raises ConfigurationError (NAME_NOT_ISSUED)."""
    kind, _, rest = text.partition(":")
    makers = {"dns": _dns, "ip": _ip, "email": _email, "uri": _uri}
    if kind.lower() in makers and address(text) is None:
        return makers[kind.lower()](rest)
    if "://" in text:
        return _uri(text)
    if address(text) is not None:
        return _ip(text)
    return _email(text) if "@" in text else _dns(text)


def general_names(texts: Iterable[str]) -> list[x509.GeneralName]:
    """Several names, each once."""
    return list(dict.fromkeys(map(general_name, texts)))


def text_of(name: x509.GeneralName) -> str:
    """A name as its user wrote it."""
    return str(name.value)


def common_name(names: Sequence[x509.GeneralName]) -> str:
    """The name that is copied into the subject, for people: a DNS name or an e-mail address that fits; "" without one.

    An address or a URI there would be compared with the limits for DNS names by some verifiers (OpenSSL).
    """
    fitting = (
        name.value
        for kind in (x509.DNSName, x509.RFC822Name)
        for name in names
        if isinstance(name, kind) and len(name.value) <= COMMON_NAME_MOST
    )
    return next(fitting, "")


def is_spiffe(name: x509.GeneralName) -> bool:
    """Whether a name is a SPIFFE id."""
    return isinstance(name, x509.UniformResourceIdentifier) and name.value.startswith(SPIFFE)


def _dns(text: str) -> x509.DNSName:
    host = text.removeprefix("*.")
    if "*" in host:
        _refuse(
            text,
            "a * stands for one whole label, the first of three or more, such as *.example.com (RFC 9525 section 6.3)",
        )
    name = _domain(host, text, "an IP address is no DNS name: leave out dns:")
    if host != text and "." not in name:
        _refuse(text, "a wildcard needs two labels behind it, such as *.example.com (RFC 9525 section 6.3)")
    return x509.DNSName(f"*.{name}" if host != text else name)


def _ip(text: str) -> x509.IPAddress:
    found = address(text)
    if found is None or "%" in text:
        _refuse(text, "it is no IP address; one with a zone is good on one machine only")
    return x509.IPAddress(found)


def _email(text: str) -> x509.RFC822Name:
    mailbox, _, host = text.rpartition("@")
    if not _MAILBOX.fullmatch(mailbox):
        _refuse(text, "it is no e-mail address of letters, digits and the usual signs")
    # RFC 5321 section 4.1.3 writes mailboxes at an address as alice@[192.0.2.1]: nobody has one here either.
    return x509.RFC822Name(f"{mailbox}@{_domain(host, text, 'behind the @ stands a domain, and no IP address')}")


def _domain(host: str, whole: str, without_address: str) -> str:
    try:
        name = normalized(host)
    except ConfigurationError as error:
        _refuse(whole, str(error.evidence["problem"]))
    if address(name) is not None:
        _refuse(whole, without_address)
    return name


def _uri(text: str) -> x509.UniformResourceIdentifier:
    if not text.isascii() or not text.isprintable() or " " in text:
        _refuse(text, "a URI is of printable ASCII characters (RFC 3986 section 2)")
    try:
        scheme, host = urlsplit(text).scheme, urlsplit(text).hostname
    except ValueError as error:
        _refuse(text, f"it is no URI: {error}")
    if not scheme or not host:
        _refuse(text, "a URI has a scheme and a host, such as https://example.com/id (RFC 5280 section 4.2.1.6)")
    if scheme == "spiffe":
        _check_spiffe(text)
    if set(text) & _NOT_OF_URIS or "@" in urlsplit(text).netloc:
        _refuse(
            text, "programs would not agree on the host: no user stands before it, and no sign that URIs do not have"
        )
    return x509.UniformResourceIdentifier(text)


def checked_address(text: str, setting: str) -> str:
    """An address of HTTP as it stands in certificates; "" is none. Raises ConfigurationError, naming the setting."""
    if not text:
        return text
    problem = ""
    try:
        _uri(text)
    except ConfigurationError as error:
        problem = str(error.evidence["problem"])
    if not problem and not text.startswith("http://"):
        # RFC 5280 section 8: over https there would be another certificate to verify first.
        problem = "it has to begin with http:// (RFC 5280 sections 4.2.1.13 and 4.2.2.1), as programs fetch from there"
    if problem:
        raise ConfigurationError(setting=setting, value=text, problem=problem)
    return text


def _check_spiffe(text: str) -> None:
    if not text.startswith(SPIFFE):
        _refuse(text, "spiffe:// is written in small letters")
    try:
        found = SpiffeId.parse(text)
    except ValueError as error:
        _refuse(text, str(error))
    if not found.path:
        _refuse(text, "this is the trust domain itself; who is in it has a path, such as spiffe://example.org/web")


def _refuse(name: str, problem: str) -> NoReturn:
    raise ConfigurationError(NAME_NOT_ISSUED, name=name, problem=problem) from None


# --- limits -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """For which names an authority may issue: DNS domains, with all that is below them, and networks.

    Where something is permitted, nothing else is: of the kind that is not mentioned, all is excluded. Other kinds go by
    their host, which has to be in a permitted domain: "alice@example.com", "spiffe://example.com/web".
    """

    permitted: tuple[str | Network, ...] = ()
    excluded: tuple[str | Network, ...] = ()

    @classmethod
    def of(cls, permitted: Iterable[str] = (), excluded: Iterable[str] = ()) -> Limits:
        """From text: "example.com", "10.0.0.0/8", "192.0.2.1"; one alone may stand by itself. Raises ConfigurationError."""
        return cls(
            tuple(_limit(text, "permit") for text in _several(permitted)),
            tuple(_limit(text, "exclude") for text in _several(excluded)),
        )

    @classmethod
    def allowing(cls, allowed: Iterable[str]) -> Limits:
        """For which names of a request a certificate is issued: as ``permitted``, and nothing else without any."""
        return cls(tuple(_limit(text, "allow") for text in _several(allowed)))

    def __bool__(self) -> bool:
        return bool(self.permitted or self.excluded)

    @property
    def texts(self) -> tuple[list[str], list[str]]:
        """What is permitted and what is excluded, as text."""
        return [str(item) for item in self.permitted], [str(item) for item in self.excluded]

    def extension(self) -> x509.NameConstraints | None:
        """As authorities carry it (RFC 5280 section 4.2.1.10); None without limits.

        A certificate may limit each kind of name, and what is not mentioned is free: so the rest is excluded outright.
        Hosts of e-mail addresses and URIs are limited by this authority alone: `cryptography`'s verifier refuses any
        chain whose authority limits those.
        """
        if not self:
            return None
        excluded = [_as_general(item) for item in self.excluded]
        if self.permitted:
            if not any(isinstance(item, str) for item in self.permitted):
                excluded.append(x509.DNSName(""))
            versions = {item.version for item in self.permitted if not isinstance(item, str)}
            excluded += [x509.IPAddress(every) for every in _EVERY_NETWORK if every.version not in versions]
        permitted = [_as_general(item) for item in self.permitted]
        return x509.NameConstraints(permitted or None, list(dict.fromkeys(excluded)) or None)

    def check(self, names: Iterable[x509.GeneralName]) -> None:
        """Raises ConfigurationError (NAME_NOT_ISSUED) for the first name that is not within the limits."""
        for name in names:
            if self.permitted and not any(covers(item, name) for item in self.permitted):
                only = ", ".join(map(str, self.permitted))
                _refuse(text_of(name), f"this authority issues for {only} alone")
            hit = next((item for item in self.excluded if covers(item, name, part=True)), None)
            if hit is not None:
                _refuse(text_of(name), f"this authority never issues for {hit}")


def covers(limit: str | Network, name: x509.GeneralName, *, part: bool = False) -> bool:
    """Whether a domain or network holds a name; with ``part``, whether it holds some of what a wildcard stands for."""
    if isinstance(name, x509.IPAddress):
        return not isinstance(limit, str) and name.value in limit
    if not isinstance(limit, str):
        return False
    if isinstance(name, x509.RFC822Name):
        host = name.value.rpartition("@")[2]
    elif isinstance(name, x509.UniformResourceIdentifier):
        host = urlsplit(name.value).hostname or ""
    else:
        host = text_of(name)
    domain = host.removeprefix("*.")
    return _within(domain, limit) or (part and domain != host and _within(limit, domain))


def _within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


def _several(texts: Iterable[str]) -> Iterable[str]:
    return [texts] if isinstance(texts, str) else texts  # or each letter would be a domain


def _limit(text: str, setting: str) -> str | Network:
    try:
        if "/" in text or address(text) is not None:
            return ipaddress.ip_network(text.strip("[]"))
        return normalized(text.removeprefix("."))
    except ValueError as error:  # a ConfigurationError is one
        problem = error.evidence.get("problem") if isinstance(error, ConfigurationError) else error
        raise ConfigurationError(
            setting=setting,
            problem=f"{text} is neither a domain (example.com) nor a network (10.0.0.0/8): {problem}",
        ) from None


def _as_general(limit: str | Network) -> x509.GeneralName:
    return x509.DNSName(limit) if isinstance(limit, str) else x509.IPAddress(limit)

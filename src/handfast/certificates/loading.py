"""Private keys as they come in files: PKCS#8, PKCS#1, SEC 1, PEM or DER, encrypted or not; and PKCS#12."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12
from cryptography.x509 import InvalidVersion

from handfast.certificates import pem, rounds
from handfast.certificates.store import quiet
from handfast.crypto import signatures
from handfast.errors import ConfigurationError
from handfast.reasons import KEY_ENCRYPTED, NOT_A_CERTIFICATE, NOT_A_KEY, Reason

Password = str | bytes | Callable[[], str | bytes] | None
"""A password, or what is called for it where one is needed."""

# What `cryptography` raises for broken contents; an InternalError for a key of Ed25519 that is too short.
_BROKEN: Final = (ValueError, TypeError, UnsupportedAlgorithm, InternalError)
_KEY: Final = re.compile(rb"-----BEGIN ((?:ENCRYPTED |RSA |EC |DSA )?PRIVATE KEY)-----")
_LABEL: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
# What people take for a key, by the label of its PEM (RFC 7468): what it is, and what to do.
_NO_KEYS: Final = {
    "PUBLIC KEY": "it is a public key",
    "CERTIFICATE": "it is a certificate",
    "CERTIFICATE REQUEST": "it is a certificate request",
    "OPENSSH PRIVATE KEY": "it is in OpenSSH's own format: ssh-keygen -p -m PKCS8 -f FILE makes it PEM",
    "EC PARAMETERS": "it has the parameters of a curve alone",
}


def private_key(data: bytes, password: Password, source: str) -> signatures.PrivateKey:
    """The private key in ``data``. The password is not asked for where the key is not encrypted.

    Raises ConfigurationError, naming ``source``: NOT_A_KEY, KEY_ENCRYPTED, PASSWORD_TOO_SLOW.
    """
    try:
        return _parsed(data, None)
    except TypeError:  # it is encrypted
        locked = encrypted(data, source)
    except _BROKEN as error:
        raise ConfigurationError(NOT_A_KEY, file=source, problem=_problem(data, error)) from None
    secret = _secret(password)
    if not secret:
        raise ConfigurationError(KEY_ENCRYPTED, file=source, problem="no password was given")
    try:
        return _parsed(locked, secret)
    except (UnsupportedAlgorithm, InternalError) as error:
        raise ConfigurationError(NOT_A_KEY, file=source, problem=_first_sentence(error)) from None
    except (ValueError, TypeError):
        raise ConfigurationError(KEY_ENCRYPTED, file=source, problem="the password is wrong") from None


def encrypted(data: bytes, source: str) -> bytes:
    """The encrypted key in PEM or DER ``data`` by itself: what is looked at here is what is opened then.

    The old encryption of PEM (DEK-Info) has no rounds, and stays PEM.

    Raises ConfigurationError, naming ``source``: PASSWORD_TOO_SLOW, or NOT_A_KEY where there is none.
    """
    if pem.is_pem(data):
        first = _KEY.search(data)
        end = -1 if first is None else data.find(b"-----END %b-----" % first[1], first.end())
        if first is None or end < 0:
            raise ConfigurationError(NOT_A_KEY, file=source, problem="it is damaged")
        if first[1] != b"ENCRYPTED PRIVATE KEY":
            return data[first.start() : end] + b"-----END %b-----\n" % first[1]
        lines = data[first.end() : end].splitlines()
        try:
            data = base64.b64decode(b"".join(line for line in lines if b":" not in line))
        except binascii.Error:
            raise ConfigurationError(NOT_A_KEY, file=source, problem="it is damaged") from None
        if pem.is_pem(data):  # another key within this one, which whoever opens it would take
            raise ConfigurationError(NOT_A_KEY, file=source, problem="it is damaged")
    rounds.check(data, source)
    return data


def is_pkcs12(data: bytes) -> bool:
    """Whether ``data`` begins as PKCS#12 does (RFC 7292 section 4): a SEQUENCE, and in it the INTEGER 3.

    A certificate begins with a SEQUENCE in a SEQUENCE, and a key with the INTEGER 0 or 1.
    """
    return data[:1] == b"0" and data[1 + _octets_of_length(data) :][:3] == b"\x02\x01\x03"


def _octets_of_length(data: bytes) -> int:
    first = data[1] if len(data) > 1 else 0
    return 1 + (first & 0x7F if first > 0x80 else 0)


def from_pkcs12(data: bytes, password: Password, source: str) -> tuple[signatures.PrivateKey, list[bytes]]:
    """The key, and the certificates (DER), that of the key first.

    Raises ConfigurationError, naming ``source``: NOT_A_KEY, NOT_A_CERTIFICATE, KEY_ENCRYPTED, PASSWORD_TOO_SLOW.
    """
    # An empty password is not the same as none, and who gives none may have meant either.
    key, ders = pkcs12_content(data, (None, password or b""), source, NOT_A_KEY)
    if key is None:
        raise ConfigurationError(NOT_A_KEY, file=source, problem="this PKCS#12 has certificates alone")
    if not ders:
        raise ConfigurationError(NOT_A_CERTIFICATE, file=source, problem="this PKCS#12 has a key alone")
    return key, ders


def pkcs12_content(
    data: bytes, passwords: Sequence[Password], source: str, damaged: Reason
) -> tuple[signatures.PrivateKey | None, list[bytes]]:
    """The key of a PKCS#12, if it has one, and the certificates (DER), that of the key first.

    The first of ``passwords`` that opens it is taken; one that has to be called for is, once those before it did not.

    Raises ConfigurationError, naming ``source``: KEY_ENCRYPTED, PASSWORD_TOO_SLOW, and ``damaged`` for contents that cannot
    be read.
    """
    rounds.check(data, source)
    password, *others = passwords
    secret = None
    try:
        secret = None if password is None else _secret(password)
        with quiet():  # it warns of BER, which NSS and Bouncy Castle write
            found = pkcs12.load_pkcs12(data, secret)
    except ConfigurationError:  # of what was asked for the password: its file cannot be read
        raise
    except (*_BROKEN, InvalidVersion) as error:
        if others and isinstance(error, ValueError):
            return pkcs12_content(data, others, source, damaged)
        if "password" in str(error).lower():  # one sentence, for a wrong one and for damaged contents
            problem = "the password is wrong" if secret else "no password was given"
            raise ConfigurationError(KEY_ENCRYPTED, file=source, problem=problem) from None
        raise ConfigurationError(damaged, file=source, problem=_first_sentence(error, "PKCS#12")) from None
    bags = [bag for bag in (found.cert, *found.additional_certs) if bag is not None]
    return found.key, [bag.certificate.public_bytes(Encoding.DER) for bag in bags]


def _secret(password: Password) -> bytes:
    given = password() if callable(password) else password
    return given.encode("utf-8") if isinstance(given, str) else given or b""


def _parsed(data: bytes, password: bytes | None) -> signatures.PrivateKey:
    # To prove that an RSA key's factors are primes takes up to half a second, at each start of a server. The key is the
    # operator's own; that it belongs to the certificate is checked, and OpenSSL checks each result of the CRT before it
    # goes out.
    load = serialization.load_pem_private_key if pem.is_pem(data) else serialization.load_der_private_key
    return load(data, password, unsafe_skip_rsa_key_validation=True)


def _problem(data: bytes, error: Exception) -> str:
    labels = [label.decode("ascii") for label in _LABEL.findall(data)]
    if labels and not any(label.endswith("PRIVATE KEY") and label not in _NO_KEYS for label in labels):
        return _NO_KEYS.get(labels[0], f"it is {labels[0]}")
    return "it is empty" if not data.strip() else _first_sentence(error)


def _first_sentence(error: Exception, kind: str = "private key") -> str:
    if isinstance(error, InternalError):
        return "it is damaged"
    first = str(error).partition(". ")[0]
    return f"it is no {kind}, or a damaged one" if first.startswith("Could not deserialize") else first

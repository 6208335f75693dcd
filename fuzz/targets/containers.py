"""What certificates and keys come in: PEM, DER, PKCS#7, PKCS#12 and OpenSSL's TRUSTED CERTIFICATE, from bytes and from files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from random import Random
from types import MappingProxyType
from unittest.mock import patch

from cryptography import x509
from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)

from fuzz import der, steps
from fuzz.credentials import NOW, SERVER_NAME, authority, authority_key, leaf, leaf_key
from fuzz.extensions import ANY_USAGE, CLIENT_AUTH, OID, SERVER_AUTH, element
from fuzz.steps import Step
from fuzz.target import Change, Target, may_refuse, must_not_refuse
from handfast import limits
from handfast.certificates import containers, pem
from handfast.certificates.aia import Content, candidates
from handfast.certificates.identity import Identity
from handfast.certificates.parsed import parsed
from handfast.certificates.store import TrustStore
from handfast.cli import cert_source
from handfast.cli.cert_run import Options
from handfast.crypto import signatures

TRUST, CERTIFICATES, IDENTITY, IDENTITY_DER, PKCS12, FILE = range(6)
"""What an input is loaded as, by the three lowest bits of its settings."""
BARE, PASSWORD = 8, 16
"""The other bits: the steps stand there in DER, and not in PEM; a password is given."""

RAW, CERTIFICATE, X509, TRUSTED, PKCS_7, CMS, KEY, EC_KEY, RSA_KEY, LOCKED = range(10)
"""What a step is: bytes as they stand, or what its label says."""
_LABELS = (
    "", "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE", "PKCS7", "CMS",
    "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY",
)  # fmt: skip
_OF_KEYS = (KEY, EC_KEY, RSA_KEY, LOCKED)
_SECRET = "password"  # which the encrypted ones in the corpus have
_ROUNDS = 65_536  # that are done; more are refused


def run(data: bytes) -> None:
    """The steps are put together, and loaded. Whoever makes a file with a password chooses how long it takes."""
    settings, held = steps.decode(data)
    load = _LOADS[(settings & 7) % len(_LOADS)]
    with patch.object(limits, "PASSWORD_ROUNDS", _ROUNDS), may_refuse():
        load(held, settings)


def put_together(held: list[Step], settings: int) -> bytes:
    """The whole as a file has it."""
    if settings & BARE:
        return b"".join(content for _, content in held)
    texts = ((pem.block(_LABELS[kind % 10], content) if kind % 10 else content) for kind, content in held)
    return b"".join(texts)


# --- certificates ------------------------------------------------------------------------------------------------------


def run_trust(held: list[Step], settings: int) -> None:
    """Roots are those that are there, and none of which its file says that it is not for TLS."""
    data = put_together(held, settings)
    if settings & BARE or any(kind % 10 == RAW for kind, _ in held):
        store = TrustStore.from_bytes(data)
        found = [each.der for each in pem.roots(data)]
        assert all(root.public_bytes(Encoding.DER) in found for root in store.roots)
        return
    wanted = {root for kind, content in held for root in _root_in(kind % 10, content)}
    if not wanted:
        return
    with must_not_refuse():
        store = TrustStore.from_bytes(data)
    assert {root.public_bytes(Encoding.DER) for root in store.roots} == wanted
    assert len(store.fingerprint) == 32
    assert all(str(each) for each in store.skipped)
    for root in store.roots:
        assert root in store
        with may_refuse():
            assert store.parsed(root).certificate is root


def _root_in(kind: int, content: bytes) -> list[bytes]:
    """The certificate that is to be trusted, if there is one: OpenSSL's x509_aux(3) read again."""
    if kind not in (CERTIFICATE, X509, TRUSTED):
        return []
    first, behind = _first(content) if kind == TRUSTED else (content, b"")
    try:
        x509.load_der_x509_certificate(first)
    except (ValueError, x509.InvalidVersion):
        return []
    return [first] if not behind or _is_for_servers(behind) else []


def _first(content: bytes) -> tuple[bytes, bytes]:
    """The first element, and the rest."""
    length = content[1] if len(content) > 1 else 0
    start = 2 + (length & 0x7F if length & 0x80 else 0)
    size = int.from_bytes(content[2:start]) if length & 0x80 else length
    return content[: start + size], content[start + size :]


def _is_for_servers(behind: bytes) -> bool:
    outer = der.elements(behind)
    members = der.elements(outer[0].content) if outer else None
    if not outer or len(outer) != 1 or outer[0].tag != 0x30 or members is None:
        return False
    tags = [each.tag for each in members]
    if tags != [tag for tag in (0x30, 0xA0, 0x0C, 0x04, 0xA1) if tag in tags]:  # each once at most, in this order
        return False
    of_tag = {each.tag: der.elements(each.content) for each in members}
    lists = [of_tag[tag] for tag in (0x30, 0xA0) if tag in of_tag]
    if any(each is None or any(item.tag != OID for item in each) for each in lists):
        return False
    usages = {tag: {each.content for each in of_tag.get(tag) or ()} for tag in (0x30, 0xA0)}
    rejected = usages[0xA0] & {SERVER_AUTH, CLIENT_AUTH, ANY_USAGE}
    return not rejected and (0x30 not in of_tag or bool(usages[0x30] & {SERVER_AUTH, ANY_USAGE}))


def run_certificates(held: list[Step], settings: int) -> None:
    """What is found can be parsed, by others too; and what a stranger's server brings is bounded."""
    data = put_together(held, settings)
    with may_refuse():
        assert len(candidates(Content(data))) <= 32
    found = containers.certificates(data)
    assert found
    for each in found:
        assert x509.load_der_x509_certificate(each).public_bytes(Encoding.DER) == each
    again = b"".join(map(pem.certificate, found))
    with must_not_refuse():
        assert containers.certificates(again) == found


# --- identities --------------------------------------------------------------------------------------------------------


def run_identity(held: list[Step], settings: int) -> None:
    """In PEM, as two files or as one."""
    data = put_together(held, 0)
    own = put_together([step for step in held if step.kind % 10 in _OF_KEYS], 0)
    check_identity(
        Identity.from_pem(data, own if settings & BARE else data, _password(settings)), pem.certificates(data)
    )


def run_identity_der(held: list[Step], settings: int) -> None:
    """In DER, each by itself."""
    ders = [content for kind, content in held if kind % 10 not in _OF_KEYS]
    own = b"".join(content for kind, content in held if kind % 10 in _OF_KEYS)
    check_identity(Identity.from_der(ders, own, _password(settings)), ders)


def run_pkcs12(held: list[Step], settings: int) -> None:
    """As an identity, and for its certificates alone."""
    data = b"".join(content for _, content in held)
    with may_refuse():
        for each in containers.of_pkcs12(data, _password(settings), "a file"):
            with may_refuse():
                parsed(each)
    check_identity(Identity.from_pkcs12(data, _password(settings)), None)


def run_file(held: list[Step], settings: int) -> None:
    """As a file of no kind in particular, which is looked into."""
    path, secret = _folder() / "held.pem", _folder() / "password"
    path.write_bytes(put_together(held, settings))
    secret.write_text(_SECRET if settings & PASSWORD else "another")  # without any, a terminal would be asked
    with may_refuse():
        source = cert_source.read(Options("show", str(path), password_file=secret))
        assert all(parsed(each).der == each for each in source.chain)
    with may_refuse():
        check_identity(Identity.load(path, None, _password(settings)), None)
    TrustStore.from_folder(_folder())


def check_identity(identity: Identity, given: list[bytes] | None) -> None:
    """Its key is its certificate's, and nothing is sent that was not given."""
    assert given is None or set(identity.chain) <= set(given)
    assert len(set(identity.chain)) == len(identity.chain)
    own = parsed(identity.chain[0])
    for scheme in identity.schemes[:1]:
        try:
            signature = identity.signer.sign(scheme, b"content")
        except ValueError:  # a key of RSA whose numbers do not fit: it signs nothing
            continue
        assert isinstance(signature, bytes)
        assert own.key is not None
        with must_not_refuse():
            signatures.verify(own.key, scheme, signature, b"content", pss=own.pss)
    for purpose in ("server", "client"):
        assert all(str(each).isprintable() for each in (*identity.notes, *identity.concerns(purpose, NOW)))
    assert repr(identity)
    assert identity.fits(None)


def _password(settings: int) -> str | None:
    return _SECRET if settings & PASSWORD else None


@cache
def _holder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="handfast-fuzz-")


def _folder() -> Path:
    """Where the files are; it stays until the process ends."""
    return Path(_holder().name)


_LOADS: tuple[Callable[[list[Step], int], None], ...] = (
    run_trust, run_certificates, run_identity, run_identity_der, run_pkcs12, run_file,
)  # fmt: skip


# --- seeds -------------------------------------------------------------------------------------------------------------

_LEAF, _ISSUER, _ROOT = leaf(SERVER_NAME, "intermediate"), authority("intermediate", "root"), authority("root", "root")


def _key(*, of_authority: bool = False, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    key = authority_key("root") if of_authority else leaf_key(SERVER_NAME)
    assert isinstance(key, ec.EllipticCurvePrivateKey) or not of_authority
    return key.private_bytes(Encoding.DER, form, NoEncryption())


def _locked(rounds: int) -> bytes:
    """The key of the leaf below the password, always the same (RFC 8018 appendix A.4); of too many rounds, zeros."""
    salt, start = bytes(range(16)), bytes(16)
    sealed = bytes(160)
    if rounds <= _ROUNDS:
        secret = PBKDF2HMAC(hashes.SHA256(), 32, salt, rounds).derive(_SECRET.encode())
        pad = padding.PKCS7(128).padder()
        seal = Cipher(algorithms.AES256(secret), modes.CBC(start)).encryptor()
        sealed = seal.update(pad.update(_key()) + pad.finalize()) + seal.finalize()
    sha256 = element(0x30, element(OID, bytes.fromhex("2a864886f70d0209")), element(0x05, b""))
    numbers = element(0x30, element(0x04, salt), element(0x02, rounds.to_bytes(rounds.bit_length() // 8 + 1)), sha256)
    derivation = element(0x30, element(OID, bytes.fromhex("2a864886f70d01050c")), numbers)
    aes = element(0x30, element(OID, bytes.fromhex("60864801650304012a")), element(0x04, start))
    algorithm = element(0x30, element(OID, bytes.fromhex("2a864886f70d01050d")), element(0x30, derivation, aes))
    return element(0x30, algorithm, element(0x04, sealed))


def _aux(trusted: tuple[bytes, ...], rejected: tuple[bytes, ...] = ()) -> bytes:
    """What OpenSSL writes behind a certificate."""
    allowed, denied = (b"".join(element(OID, each) for each in usages) for usages in (trusted, rejected))
    parts = (
        element(0x30, allowed) if trusted else b"",
        element(0xA0, denied) if rejected else b"",
        element(0x0C, b"a root"),
    )
    return element(0x30, *parts)


def _pkcs12() -> bytes:
    """Without the MAC that every change would break. It has no salt then, and is always the same."""
    issuer, own = x509.load_der_x509_certificate(_ISSUER), x509.load_der_x509_certificate(_LEAF)
    whole = pkcs12.serialize_key_and_certificates(b"a key", leaf_key(SERVER_NAME), own, [issuer], NoEncryption())
    tree = der.elements(whole)
    assert tree is not None
    assert tree[0].inner is not None
    del tree[0].inner[2:]
    return tree[0].encode()


def _parts() -> Mapping[str, Step]:
    bundle = [x509.load_der_x509_certificate(each) for each in (_LEAF, _ISSUER)]
    return {
        "leaf": Step(CERTIFICATE, _LEAF),
        "issuer": Step(CERTIFICATE, _ISSUER),
        "root": Step(X509, _ROOT),
        "trusted": Step(TRUSTED, _ROOT + _aux((SERVER_AUTH, CLIENT_AUTH))),
        "distrusted": Step(TRUSTED, _ISSUER + _aux((), (SERVER_AUTH,))),
        "of-mail": Step(TRUSTED, _ROOT + _aux((bytes.fromhex("2b06010505070304"),))),
        "bundle": Step(PKCS_7, pkcs7.serialize_certificates(bundle, Encoding.DER)),
        "key": Step(KEY, _key()),
        "ec-key": Step(EC_KEY, _key(of_authority=True, form=PrivateFormat.TraditionalOpenSSL)),
        "locked": Step(LOCKED, _locked(100)),
        "costly": Step(LOCKED, _locked((1 << 31) - 1)),
        "text": Step(RAW, b"# a comment\n-----BEGIN CERTIFICATE-----\nMIIB\n"),
        "pkcs12": Step(RAW, _pkcs12()),
    }


def _seeds() -> Mapping[str, bytes]:
    parts = MappingProxyType(_parts())

    def of(settings: int, *names: str) -> bytes:
        return steps.encode(settings, [parts[name] for name in names])

    return {
        "trust": of(TRUST, "root", "issuer"),
        "trust-der": of(TRUST | BARE, "root"),
        "trust-aux": of(TRUST, "trusted", "distrusted", "of-mail"),
        "trust-text": of(TRUST, "text", "root"),
        "certificates": of(CERTIFICATES, "leaf", "issuer", "text", "key"),
        "certificates-der": of(CERTIFICATES | BARE, "leaf", "issuer"),
        "pkcs7": of(CERTIFICATES, "bundle"),
        "pkcs7-der": of(CERTIFICATES | BARE, "bundle"),
        "identity": of(IDENTITY, "key", "root", "leaf", "issuer", "leaf"),
        "identity-ec": of(IDENTITY | BARE, "ec-key", "root"),
        "identity-der": of(IDENTITY_DER, "leaf", "issuer", "key"),
        "identity-locked": of(IDENTITY | PASSWORD, "locked", "leaf", "issuer"),
        "identity-costly": of(IDENTITY_DER | PASSWORD, "leaf", "issuer", "costly"),
        "pkcs12": of(PKCS12 | BARE, "pkcs12"),
        "file": of(FILE, "leaf", "issuer", "key"),
        "file-pkcs12": of(FILE | BARE, "pkcs12"),
        "file-pkcs7": of(FILE, "bundle"),
    }


def _inside(step: Step, limit: int, random: Random, change: Change) -> Step:
    if step.kind % 10 == RAW and not step.content.startswith(b"0"):
        return Step(step.kind, change(step.content or b"\0", limit))
    if random.random() < 0.05:
        return Step(random.randrange(10), step.content)
    return Step(step.kind, der.mutated(step.content, limit, random, change))


_STOCK = list(_parts().values())

TARGETS = [Target("containers", run, _seeds, steps.mutator(_inside, _STOCK, 32), max_length=6_144)]

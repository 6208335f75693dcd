"""What is sent of the certificates in a file: in which order, what is left out, and what is said of it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from handfast import reasons
from handfast.certificates import pem
from handfast.certificates.identity import Identity
from handfast.certificates.notes import Note
from handfast.errors import ConfigurationError
from handfast.testing import Authority
from handfast.testing.authority import key_pem, key_usage

NOW = datetime.now(UTC)

ROOT = Authority.create("the root")
UPPER = ROOT.intermediate("the upper authority")
LOWER = UPPER.intermediate("the lower authority")
OURS = LOWER.issue("server.example")
OTHERS = Authority.create("somebody else").issue("other.example")
LEAF, LOW, UP = OURS.chain


def loaded(*ders: bytes, key: Any = None) -> tuple[Identity, list[reasons.Reason]]:
    said: list[Note] = []
    found = Identity.from_pem(b"".join(map(pem.certificate, ders)), key or OURS.key_pem, on_note=said.append)
    assert found.notes == tuple(said)
    return found, [note.reason for note in said]


def test_what_is_right_stays_and_nothing_is_said() -> None:
    found, said = loaded(LEAF, LOW, UP)
    assert found.chain == (LEAF, LOW, UP)
    assert not said
    assert OURS.notes == ()


@pytest.mark.parametrize("order", list(itertools.permutations((LEAF, LOW, UP, ROOT.der)))[1:])
def test_any_order_is_put_right_and_the_root_left_out(order: tuple[bytes, ...]) -> None:
    found, said = loaded(*order)
    assert found.chain == (LEAF, LOW, UP)
    assert said[-1] is reasons.ROOT_LEFT_OUT
    in_order = [der for der in order if der != ROOT.der] == [LEAF, LOW, UP]
    assert (reasons.CHAIN_REORDERED in said) is not in_order
    assert len(said) == (1 if in_order else 2)


def test_duplicates_and_strays_are_left_out() -> None:
    found, said = loaded(LEAF, OTHERS.chain[0], LOW, LEAF, UP, LOW)
    assert found.chain == (LEAF, LOW, UP)
    assert said == [reasons.STRAY_LEFT_OUT, reasons.DUPLICATE_LEFT_OUT, reasons.DUPLICATE_LEFT_OUT]
    assert [note.evidence["position"] for note in found.notes] == ["2 of 6", "4 of 6", "6 of 6"]
    assert str(found.notes[0]).startswith(
        "A certificate has nothing to do with our own, and is not sent. (certificate:"
    )


def test_the_sentences_are_of_the_certificates_at_fault() -> None:
    found, _ = loaded(LOW, LEAF, UP, ROOT.der)
    assert [str(note) for note in found.notes] == [
        (
            "The certificates were not in the order in which they are sent, and have been put into it. (sent: "
            "CN=handfast test,O=handfast testing, then CN=the lower authority,O=handfast testing, "
            "then CN=the upper authority,O=handfast testing)"
        ),
        (
            "A root is among the certificates, and is not sent: whoever trusts it has it. (certificate: "
            "CN=the root,O=handfast testing; position: 4 of 4)"
        ),
    ]


def test_of_several_certificates_that_of_the_key_is_ours() -> None:
    found, said = loaded(*OTHERS.chain, *OURS.chain)
    assert found.chain == OURS.chain
    assert said == [reasons.STRAY_LEFT_OUT] * len(OTHERS.chain)
    found, said = loaded(*OURS.chain, *OTHERS.chain, key=OTHERS.key_pem)
    assert found.chain == OTHERS.chain


def test_an_authority_of_the_right_name_with_another_key_is_a_stray() -> None:
    twin = ROOT.intermediate("the upper authority").intermediate("the lower authority")
    found, said = loaded(LEAF, twin.chain[0], LOW, UP)
    assert found.chain == (LEAF, LOW, UP)
    assert said == [reasons.STRAY_LEFT_OUT]


def test_the_gap_that_an_intermediate_leaves_is_not_bridged() -> None:
    found, said = loaded(LEAF, UP)
    assert found.chain == (LEAF,)
    assert said == [reasons.STRAY_LEFT_OUT]


def test_a_self_signed_certificate_is_sent() -> None:
    found, said = loaded(ROOT.der, key=_pem_of(ROOT))
    assert found.chain == (ROOT.der,)
    assert not said


def _pem_of(authority: Authority) -> bytes:
    return key_pem(authority.key)


def test_both_certificates_of_an_authority_with_two_issuers_are_sent() -> None:
    """A cross certificate: older clients know the one root, newer ones the other."""
    old = Authority.create("the old root")
    crossed = _crossed(UPPER, old)
    found, said = loaded(LEAF, LOW, crossed, UP, old.der, ROOT.der)
    assert found.chain == (LEAF, LOW, crossed, UP)
    assert said == [reasons.ROOT_LEFT_OUT, reasons.ROOT_LEFT_OUT]


def _crossed(authority: Authority, issuer: Authority) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    certificate = authority.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(certificate.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value, False)
    )
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_what_the_constructor_is_given_is_sent_as_it_is() -> None:
    odd = Identity([LEAF, UP, ROOT.der, UP], OURS.key)
    assert odd.chain == (LEAF, UP, ROOT.der, UP)
    assert odd.notes == ()


def test_a_key_of_none_of_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(LEAF, LOW, key=OTHERS.key_pem)
    assert caught.value.reason is reasons.KEY_MISMATCH
    assert caught.value.evidence == {
        "certificate": "CN=handfast test,O=handfast testing",
        "certificate_key": "ECDSA P-256",
        "key": "ECDSA P-256",
        "problem": "it belongs to none of the 2 certificates",
    }
    rsa = Authority.create().issue("x.example", key="rsa2048")
    with pytest.raises(ConfigurationError) as caught:
        Identity.load(OURS.write(tmp_path)[0], rsa.write(tmp_path, "rsa")[1])
    assert (caught.value.evidence["certificate_key"], caught.value.evidence["key"]) == ("ECDSA P-256", "RSA 2048")


def test_signatures_that_cannot_be_verified_do_not_speak_against_an_issuer() -> None:
    """ML-DSA, where `cryptography` does not verify it in certificates: by its names it is the issuer."""
    authority = Authority.create("a new root", key="mldsa65").intermediate("a new authority", key="mldsa65")
    made = authority.issue("server.example", key="mldsa65")
    found = Identity.from_pem(b"".join(map(pem.certificate, reversed(made.chain))), made.key_pem)
    assert found.chain == made.chain


# --- signers ------------------------------------------------------------------------------------------------------


class Elsewhere:
    """A key that nobody can look at."""

    def __init__(self, key: Any, schemes: tuple[int, ...]) -> None:
        self._signer = Identity.from_der([LEAF], key).signer if isinstance(key, bytes) else key
        self.schemes = schemes
        self.asked: list[bytes] = []

    def sign(self, scheme: int, content: bytes) -> Any:
        self.asked.append(content)
        return self._signer.sign(scheme, content)


def test_a_signer_shows_by_a_signature_which_certificate_is_its_own() -> None:
    signer = Elsewhere(OURS.signer, OURS.signer.schemes)
    chain = b"".join(map(pem.certificate, (UP, ROOT.der, *OTHERS.chain, LOW, LEAF)))
    found = Identity.from_pem(chain, signer)
    assert found.chain == OURS.chain
    assert found.signer is signer
    assert len(signer.asked) == 1
    assert not signer.asked[0].startswith(b"\x20" * 64)  # RFC 9846 section 4.5.2: nothing that TLS would sign
    assert Identity.from_der(OURS.chain, signer).chain == OURS.chain


def test_a_signer_with_another_key_is_found_out(tmp_path: Path) -> None:
    signer = Elsewhere(OTHERS.signer, OTHERS.signer.schemes)
    with pytest.raises(ConfigurationError) as caught:
        Identity.load(OURS.write(tmp_path)[0], signer)
    assert caught.value.reason is reasons.KEY_MISMATCH
    assert caught.value.evidence["certificate_file"] == str(tmp_path / "server.pem")


def test_a_signer_that_fails_says_so_at_the_start() -> None:
    class Broken:
        schemes = OURS.signer.schemes

        def sign(self, scheme: int, content: bytes) -> bytes:
            raise OSError("no card in the reader")

    with pytest.raises(ConfigurationError, match="the signer fails: OSError: no card in the reader"):
        Identity.from_der(OURS.chain, Broken())


def test_an_async_signer_cannot_show_it_so_our_own_comes_first() -> None:
    class Later:
        schemes = OURS.signer.schemes

        async def sign(self, scheme: int, content: bytes) -> bytes:
            raise AssertionError("nobody awaits it")

    assert Identity.from_der(OURS.chain, Later()).chain == OURS.chain

    class Hidden(Later):
        def sign(self, scheme: int, content: bytes) -> Any:  # type: ignore[override]
            return super().sign(scheme, content)

    assert Identity.from_der(OURS.chain, Hidden()).chain == OURS.chain


def test_a_signer_without_a_scheme_for_any_of_them() -> None:
    ed25519 = Elsewhere(OURS.signer, (0x0807,))
    with pytest.raises(ConfigurationError) as caught:
        Identity.from_der(OURS.chain, ed25519)
    assert caught.value.evidence["problem"] == "TLS has no signature scheme for this kind of key"
    assert not ed25519.asked


# --- what peers will not like ----------------------------------------------------------------------------------------


def _concerns(identity: Identity, purpose: Any = "server", now: datetime = NOW) -> list[reasons.Reason]:
    return [note.reason for note in identity.concerns(purpose, now)]


def test_a_good_chain_gives_no_concern() -> None:
    assert not OURS.concerns("server", NOW)
    assert not ROOT.issue("c.example", usage=("client",)).concerns("client", NOW)


def test_times() -> None:
    leaf = datetime.max.replace(tzinfo=UTC)
    assert reasons.OWN_CERTIFICATE_EXPIRED in _concerns(OURS, now=leaf)
    old = ROOT.issue("x.example", not_before=NOW - timedelta(days=9), not_after=NOW - timedelta(days=3, hours=1))
    (note,) = old.concerns("server", NOW)
    assert note.reason is reasons.OWN_CERTIFICATE_EXPIRED
    assert note.evidence["days_ago"] == 3
    new = ROOT.issue("x.example", not_before=NOW + timedelta(days=1), not_after=NOW + timedelta(days=3))
    assert _concerns(new) == [reasons.OWN_CERTIFICATE_NOT_YET_VALID]


def test_an_intermediate_that_has_expired_is_named() -> None:
    old = ROOT.intermediate("an old authority", not_after=NOW - timedelta(days=1), not_before=NOW - timedelta(days=9))
    (note,) = old.issue("x.example").concerns("server", NOW)
    assert note.reason is reasons.OWN_CERTIFICATE_EXPIRED
    assert "an old authority" in str(note)


def test_usage() -> None:
    client = ROOT.issue("c.example", usage=("client",))
    (note,) = client.concerns("server", NOW)
    assert note.reason is reasons.OWN_CERTIFICATE_WRONG_USAGE
    assert note.evidence["lacks"] == "serverAuth"
    assert note.evidence["is_for"] == ["clientAuth"]
    assert _concerns(ROOT.issue("s.example", usage=("server",)), "client") == [reasons.OWN_CERTIFICATE_WRONG_USAGE]
    any_use = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    assert not ROOT.issue("x.example", extensions={x509.ExtendedKeyUsage: None}).concerns("client", NOW)
    # OpenSSL and we want the usage by its name.
    (note,) = ROOT.issue("x.example", extensions={x509.ExtendedKeyUsage: (any_use, False)}).concerns("client", NOW)
    assert note.evidence["is_for"] == ["anyExtendedKeyUsage"]


def test_a_key_that_may_not_sign() -> None:
    own = {x509.KeyUsage: (key_usage(key_encipherment=True), True)}
    (note,) = ROOT.issue("s.example", extensions=own).concerns("server", NOW)
    assert note.reason is reasons.OWN_CERTIFICATE_WRONG_USAGE
    assert note.evidence["lacks"] == "digitalSignature"


def test_names_are_needed_by_servers_alone() -> None:
    nameless = ROOT.issue(common_name="server.example", extensions={x509.SubjectAlternativeName: None})
    assert _concerns(nameless) == [reasons.OWN_CERTIFICATE_WITHOUT_NAMES]
    assert not ROOT.issue(usage=("client",), extensions={x509.SubjectAlternativeName: None}).concerns("client", NOW)


def test_an_intermediate_that_is_missing() -> None:
    where = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(
                AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.example/lower.cer")
            )
        ]
    )
    made = LOWER.issue("server.example", extensions={x509.AuthorityInformationAccess: (where, False)})
    assert not made.concerns("server", NOW)
    (note,) = Identity(made.chain[:1], made.key).concerns("server", NOW)
    assert note.reason is reasons.OWN_INTERMEDIATE_MISSING
    assert note.evidence["can_be_had_at"] == "http://ca.example/lower.cer"
    # Of a private authority it is no sign of anything: its root may have issued our certificate itself.
    assert not Identity(OURS.chain[:1], OURS.key).concerns("server", NOW)


def test_each_kind_of_key_finds_its_certificate_among_those_of_others() -> None:
    made = [ROOT.issue(f"{kind}.example", key=kind) for kind in ("p256", "rsa2048", "ed25519", "mldsa44", "rsapss2048")]
    heap = b"".join(pem.certificate(item.chain[0]) for item in made)
    for item in made:
        assert Identity.from_pem(heap, item.key_pem).names == item.names
        assert Identity.from_pem(heap, Elsewhere(item.signer, item.signer.schemes)).names == item.names


def test_a_chain_can_be_left_as_it_stands() -> None:
    """As programs expect it that use the drop-in for ssl."""
    text = b"".join(map(pem.certificate, (LEAF, UP, ROOT.der)))
    found = Identity.from_pem(text, OURS.key_pem, arrange=False)
    assert found.chain == (LEAF, UP, ROOT.der)
    assert found.notes == ()
    with pytest.raises(ConfigurationError, match="it belongs to certificate 2; our own has to come first"):
        Identity.from_pem(b"".join(map(pem.certificate, (UP, LEAF))), OURS.key_pem, arrange=False)

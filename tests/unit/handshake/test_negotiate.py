"""The decisions of a handshake: values in, value or exception out, and no connection anywhere."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from handfast import reasons
from handfast.crypto.suites import SUITES
from handfast.errors import PeerIncompatible, PeerMisbehaved
from handfast.handshake import negotiate
from handfast.testing import Authority
from handfast.wire.codepoints import CipherSuite as C
from handfast.wire.codepoints import NamedGroup as G
from handfast.wire.codepoints import ProtocolVersion
from handfast.wire.codepoints import SignatureScheme as S
from handfast.wire.extensions import KeyShareEntry
from handfast.wire.hello import ClientHello
from handfast.wire.messages13 import CertificateRequest
from tests.handshake.parties import fails, identity, server_config

A128, A256, CHACHA = C.TLS_AES_128_GCM_SHA256, C.TLS_AES_256_GCM_SHA384, C.TLS_CHACHA20_POLY1305_SHA256


def hello(**fields: Any) -> ClientHello:
    values: dict[str, Any] = {
        "random": bytes(32),
        "legacy_session_id": b"",
        "cipher_suites": [A128],
        "supported_groups": [G.X25519],
        "signature_algorithms": [S.ECDSA_SECP256R1_SHA256],
        "supported_versions": [0x0304],
        "key_share": [KeyShareEntry(G.X25519, bytes(32))],
    }
    return ClientHello(**{**values, **fields})


BOTH, NEW, OLD = (0x0304, 0x0303), (0x0304,), (0x0303,)


@pytest.mark.parametrize(
    ("legacy", "offered", "ours", "chosen"),
    [
        (0x0303, [0x0304], BOTH, 0x0304),
        (0x0303, [0x0303, 0x0304], BOTH, 0x0304),  # the best one, whatever the client likes best
        (0x0303, [0x0303, 0x0304], NEW, 0x0304),
        (0x0303, [0x0303, 0x0304], OLD, 0x0303),
        (0x0303, [0x0A0A, 0x0305, 0x0304], BOTH, 0x0304),
        (0x0303, [0x0A0A, 0x0305, 0x0303], BOTH, 0x0303),
        (0x0301, [0x0304], BOTH, 0x0304),  # the list alone counts
        (0x0301, [0x0303], BOTH, 0x0303),
        (0x0303, None, BOTH, 0x0303),
        (0x0303, None, OLD, 0x0303),
        (0x0304, None, BOTH, 0x0303),  # before TLS 1.3 a newer number has to be read as TLS 1.2
        (0x0399, None, BOTH, 0x0303),
        (0xFFFF, None, OLD, 0x0303),
    ],
)
def test_the_version(legacy: int, offered: list[int] | None, ours: tuple[int, ...], chosen: int) -> None:
    assert negotiate.version(hello(legacy_version=legacy, supported_versions=offered), ours) == chosen


@pytest.mark.parametrize(
    ("legacy", "offered", "ours", "named"),
    [
        (0x0303, [0x0303], NEW, "TLSv1.2"),
        (0x0303, [0x0304], OLD, "TLSv1.3"),
        (0x0303, [0x0302, 0x0301], BOTH, "TLSv1.1"),
        (0x0303, [], BOTH, "0x0000"),
        (0x0303, None, NEW, "TLSv1.2"),
        (0x0302, None, BOTH, "TLSv1.1"),
        (0x0301, None, BOTH, "TLSv1.0"),
        (0x0300, None, BOTH, "SSLv3"),
        (0x0399, None, NEW, "TLSv1.2"),
        (0x0303, [0x0305], BOTH, "0x0305"),
        (0x0303, [0x1A1A], BOTH, "0x0000"),
    ],
)
def test_no_version(legacy: int, offered: list[int] | None, ours: tuple[int, ...], named: str) -> None:
    with fails(PeerIncompatible, reasons.NO_COMMON_VERSION) as caught:
        negotiate.version(hello(legacy_version=legacy, supported_versions=offered), ours)
    assert caught.value.evidence["peer_speaks"] == named
    assert caught.value.evidence["we_accept"] == [ProtocolVersion.name(version) for version in ours]


FALLBACK = [C.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, C.TLS_FALLBACK_SCSV]


@pytest.mark.parametrize("offered", [None, [0x0303], [0x0303, 0x0302]])
def test_a_client_that_fell_back_without_need_is_told(offered: list[int] | None) -> None:
    """RFC 7507 section 3: somebody has made it believe that we speak nothing newer."""
    with fails(PeerIncompatible, reasons.INAPPROPRIATE_FALLBACK) as caught:
        negotiate.version(hello(cipher_suites=FALLBACK, supported_versions=offered), BOTH)
    assert caught.value.evidence["we_accept"] == ["TLSv1.3", "TLSv1.2"]
    assert caught.value.alert == 86  # inappropriate_fallback


@pytest.mark.parametrize(("offered", "ours"), [(None, OLD), ([0x0303], OLD), ([0x0304, 0x0303], BOTH), ([0x0304], NEW)])
def test_a_fall_back_to_the_best_that_we_have_is_none(offered: list[int] | None, ours: tuple[int, ...]) -> None:
    assert negotiate.version(hello(cipher_suites=FALLBACK, supported_versions=offered), ours) == ours[0]


@pytest.mark.parametrize(
    ("ours", "theirs", "client_decides", "chosen"),
    [
        ((A128, A256), (A256, A128), False, A128),
        ((A128, A256), (A256, A128), True, A256),
        ((A128, CHACHA), (CHACHA, A128), False, CHACHA),
        ((A128, CHACHA), (0x0A0A, CHACHA, A128), False, CHACHA),  # GREASE is not what a client wants most
        ((A128, CHACHA), (A128, CHACHA), False, A128),
        ((A128,), (CHACHA, A128), False, A128),
        ((CHACHA, A128), (A128, CHACHA), False, CHACHA),
        ((A256,), (0x1301, 0x1302, 0xC02F), True, A256),
    ],
)
def test_the_suite(ours: tuple[int, ...], theirs: tuple[int, ...], client_decides: bool, chosen: int) -> None:
    assert negotiate.cipher_suite(ours, theirs, client_decides) is SUITES[chosen]


@pytest.mark.parametrize("theirs", [(), (0x0A0A,), (A256, 0xC02F)])
def test_no_suite(theirs: tuple[int, ...]) -> None:
    with fails(PeerIncompatible, reasons.NO_COMMON_SUITE) as caught:
        negotiate.cipher_suite((A128,), theirs, False)
    assert caught.value.evidence["peer_offered"] == [C.name(suite) for suite in theirs]


def test_the_share_of_the_group_we_like_best() -> None:
    shares = [KeyShareEntry(G.X25519, b"x"), KeyShareEntry(G.SECP256R1, b"p")]
    for ours, chosen in (((G.SECP256R1, G.X25519), b"p"), ((G.X25519, G.SECP256R1), b"x"), ((G.X448, G.X25519), b"x")):
        found = negotiate.key_share(ours, hello(key_share=shares))
        assert isinstance(found, KeyShareEntry)
        assert found.key_exchange == chosen


NO_SHARE = pytest.mark.parametrize("shares", [None, [], [KeyShareEntry(G.X448, b"x")]])


@NO_SHARE
@pytest.mark.parametrize(
    ("theirs", "asked_for"),
    [
        ([G.X448, G.SECP256R1], G.SECP256R1),
        ([G.SECP256R1, G.SECP384R1], G.SECP384R1),  # ours decides among those it supports
        ([0x0A0A, G.SECP256R1], G.SECP256R1),
    ],
)
def test_a_share_that_is_missing_is_asked_for(theirs: list[int], asked_for: int, shares: Any) -> None:
    offered = hello(supported_groups=theirs, key_share=shares)
    assert negotiate.key_share([G.X25519, G.SECP384R1, G.SECP256R1], offered) == asked_for


def test_a_share_that_is_there_saves_a_round_trip() -> None:
    """Even where another group would be liked better."""
    offered = hello(supported_groups=[G.X25519, G.SECP256R1], key_share=[KeyShareEntry(G.X25519, b"x")])
    assert negotiate.key_share([G.SECP256R1, G.X25519], offered) == KeyShareEntry(G.X25519, b"x")


@NO_SHARE
@pytest.mark.parametrize("theirs", [[], [G.X448], [0x0A0A, G.X448]])
def test_no_common_group(theirs: list[int], shares: Any) -> None:
    with fails(PeerIncompatible, reasons.NO_COMMON_GROUP) as caught:
        negotiate.key_share([G.SECP256R1], hello(supported_groups=theirs, key_share=shares))
    assert caught.value.evidence == {
        "peer_offered": [G.name(group) for group in theirs],
        "we_accept": ["secp256r1"],
    }


def test_groups_have_to_be_there_to_ask_for_one() -> None:
    with fails(PeerMisbehaved, reasons.MISSING_EXTENSION):
        negotiate.key_share([G.SECP256R1], hello(supported_groups=None, key_share=[]))


@pytest.mark.parametrize(
    ("groups", "shares", "right"),
    [
        ([1, 2, 3], [1, 2, 3], True),
        ([1, 2, 3], [1, 3], True),
        ([1, 2, 3], [], True),
        ([1, 2, 3], [3, 1], False),
        ([1, 2, 3], [2, 2], False),
        ([1, 2, 3], [4], False),
        ([1, 2, 3], [1, 4], False),
        ([1, 1, 2], [1, 2], True),
    ],
)
def test_shares_fit_the_groups(groups: list[int], shares: list[int], right: bool) -> None:
    offered = hello(supported_groups=groups, key_share=[KeyShareEntry(group, b"x") for group in shares])
    if right:
        negotiate.check_hello(offered)
    else:
        with fails(PeerMisbehaved, reasons.BAD_KEY_SHARE_LIST):
            negotiate.check_hello(offered)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"legacy_version": 0x0302}, reasons.BAD_LEGACY_VERSION),
        ({"legacy_compression_methods": b"\1\0"}, reasons.BAD_COMPRESSION),
        ({"supported_groups": None}, reasons.MISSING_EXTENSION),
        ({"key_share": None}, reasons.MISSING_EXTENSION),
    ],
)
def test_what_a_hello_has_to_be(changes: dict[str, Any], reason: reasons.Reason) -> None:
    with fails(PeerMisbehaved, reason):
        negotiate.check_hello(hello(**changes))


def test_required() -> None:
    assert negotiate.required([], 10) == []
    with fails(PeerMisbehaved, reasons.MISSING_EXTENSION) as caught:
        negotiate.required(None, 10)
    assert caught.value.evidence == {"extension": "supported_groups"}


def test_the_identity() -> None:
    ecdsa, edwards = identity("p256", "a.example"), identity("ed25519", "b.example")
    both = [S.ED25519, S.ECDSA_SECP256R1_SHA256]
    for name, schemes, refuse, who in (
        (None, both, True, ecdsa),
        ("a.example", both, True, ecdsa),
        ("B.EXAMPLE", both, True, edwards),
        ("b.example", [S.ECDSA_SECP256R1_SHA256], False, None),
        ("c.example", both, False, ecdsa),
        ("c.example", [S.ED25519], False, edwards),
    ):
        offered = hello(server_name=name, signature_algorithms=schemes)
        if who is None:
            with fails(PeerIncompatible, reasons.NO_COMMON_SIGNATURE_SCHEME):
                negotiate.identity([ecdsa, edwards], offered, refuse)
        else:
            assert negotiate.identity([ecdsa, edwards], offered, refuse) == (who, who.schemes[0])


def test_the_scheme_is_the_one_the_identity_likes_best() -> None:
    who = identity("rsa2048")
    offered = hello(signature_algorithms=[S.RSA_PSS_RSAE_SHA512, S.RSA_PSS_RSAE_SHA256])
    assert negotiate.identity([who], offered, False) == (who, S.RSA_PSS_RSAE_SHA256)


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [
        ((), [b"h2"], None),
        ((b"h2",), None, None),
        ((), None, None),
        ((b"h2", b"http/1.1"), [b"http/1.1", b"h2"], b"h2"),
        ((b"h2", b"http/1.1"), [b"http/1.1"], b"http/1.1"),
    ],
)
def test_the_protocol(ours: tuple[bytes, ...], theirs: list[bytes] | None, agreed: bytes | None) -> None:
    assert negotiate.application_protocol(ours, theirs) == agreed


def test_no_protocol() -> None:
    with fails(PeerIncompatible, reasons.NO_COMMON_ALPN) as caught:
        negotiate.application_protocol([b"h2"], [b"\xff"])
    assert caught.value.evidence == {"peer_offered": ["\\xff"], "we_accept": ["h2"]}


def test_all_terms_together() -> None:
    config = server_config(alpn=["h2"])
    assert negotiate.who_we_are(config, hello(), None) == (identity(), S.ECDSA_SECP256R1_SHA256)
    assert negotiate.application_protocol(config.protocols, [b"h2"]) == b"h2"


# --- authorities, and who a client is


@cache
def two_authorities() -> tuple[Authority, Authority]:
    return Authority.create("First"), Authority.create("Second")


def names_of(*authorities: Authority) -> list[bytes]:
    """Their distinguished names (DER), as a peer lists them."""
    return [name for authority in authorities for name in authority.trust.subjects()]


def test_an_identity_that_leads_to_an_authority_of_the_client_comes_first() -> None:
    """RFC 9846 section 4.3.4: the extension guides the choice. What the client may not verify is better than nothing."""
    first, second = two_authorities()
    ours = [first.issue("a.example"), second.issue("a.example"), second.issue("b.example", key="ed25519")]
    both = [S.ECDSA_SECP256R1_SHA256, S.ED25519]

    def chosen(authorities: list[bytes] | None, schemes: list[int], name: str = "a.example") -> int:
        offered = hello(server_name=name, signature_algorithms=schemes, certificate_authorities=authorities)
        return ours.index(negotiate.identity(ours, offered, False)[0])  # type: ignore[arg-type]

    assert chosen(None, both) == 0
    assert chosen(names_of(first), both) == 0
    assert chosen(names_of(second), both) == 1
    assert chosen(names_of(second, first), both) == 0  # our order, among those that fit
    assert chosen([b"0\0"], both) == 0  # nobody that we know
    assert chosen(names_of(second), both, "other.example") == 1  # no name fits: all may be looked at
    assert chosen(names_of(first), both, "b.example") == 2  # the name counts more than the authority


def request(**fields: Any) -> CertificateRequest:
    return CertificateRequest(**{"signature_algorithms": [S.ECDSA_SECP256R1_SHA256, S.ED25519], **fields})


def test_a_client_shows_the_first_identity_that_the_server_can_accept() -> None:
    first, second = two_authorities()
    ours = [first.issue("one", usage=("client",)), second.issue("two", key="ed25519", usage=("client",))]
    ecdsa, edwards = S.ECDSA_SECP256R1_SHA256, S.ED25519
    for fields, expected in (
        ({}, (ours[0], ecdsa)),
        ({"signature_algorithms": [edwards]}, (ours[1], edwards)),
        ({"signature_algorithms": [S.RSA_PSS_RSAE_SHA256]}, (None, 0)),
        ({"certificate_authorities": names_of(second)}, (ours[1], edwards)),
        ({"certificate_authorities": names_of(second, first)}, (ours[0], ecdsa)),
        ({"certificate_authorities": [b"0\0"]}, (None, 0)),
        ({"certificate_authorities": names_of(first), "signature_algorithms": [edwards]}, (None, 0)),
        ({"certificate_authorities": []}, (ours[0], ecdsa)),
    ):
        assert negotiate.client_identity(ours, request(**fields), chosen=False) == expected
    assert negotiate.client_identity([], request(), chosen=False) == (None, 0)


def test_a_chosen_identity_needs_a_scheme_alone() -> None:
    first, second = two_authorities()
    who = first.issue("one", usage=("client",))
    asked = request(certificate_authorities=names_of(second))
    assert negotiate.client_identity([who], asked, chosen=False) == (None, 0)
    assert negotiate.client_identity([who], asked, chosen=True) == (who, S.ECDSA_SECP256R1_SHA256)
    edwards_alone = request(signature_algorithms=[S.ED25519])
    assert negotiate.client_identity([who], edwards_alone, chosen=True) == (None, 0)


def test_a_request_has_to_say_what_may_be_signed_with() -> None:
    with fails(PeerMisbehaved, reasons.MISSING_EXTENSION) as caught:
        negotiate.client_identity([identity()], request(signature_algorithms=None), chosen=True)
    assert caught.value.evidence == {"extension": "signature_algorithms"}


def test_a_name_may_be_refused() -> None:
    ours = [identity("p256", "a.example"), identity("ed25519", "b.example")]
    with fails(PeerIncompatible, reasons.UNRECOGNIZED_NAME) as caught:
        negotiate.identity(ours, hello(server_name="c.example"), True)
    assert caught.value.evidence == {"peer_asked_for": "c.example", "we_are": ["a.example", "b.example"]}
    assert negotiate.identity(ours, hello(server_name="a.example"), True)[0] is ours[0]


def test_a_chosen_identity_is_refused_for_no_name() -> None:
    chosen = identity("p256", "a.example")
    config = server_config(unknown_names="refuse")
    assert negotiate.who_we_are(config, hello(server_name="c.example"), chosen)[0] is chosen
    with fails(PeerIncompatible, reasons.UNRECOGNIZED_NAME):
        negotiate.who_we_are(config, hello(server_name="c.example"), None)

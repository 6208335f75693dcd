"""The decisions of TLS 1.2: values in, value or exception out."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import reasons
from handfast.errors import PeerIncompatible, PeerMisbehaved
from handfast.handshake import negotiate, negotiate12
from handfast.handshake.authenticate12 import certificate_request
from handfast.testing import Authority
from handfast.wire.codepoints import CipherSuite as C
from handfast.wire.codepoints import NamedGroup as G
from handfast.wire.codepoints import SignatureScheme as S
from handfast.wire.hello import ClientHello
from handfast.wire.messages12 import CertificateRequest12
from tests.handshake.parties import fails, identity, server_config, trust

ECDSA_A128, ECDSA_A256 = C.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, C.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
RSA_A128, RSA_A256 = C.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, C.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
ECDSA_CHACHA = C.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
RSA_CHACHA = C.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
P256, P384, X25519 = G.SECP256R1, G.SECP384R1, G.X25519
SCHEMES = [S.ECDSA_SECP256R1_SHA256, S.RSA_PSS_RSAE_SHA256, S.RSA_PKCS1_SHA256, S.ED25519]


def hello(**fields: Any) -> ClientHello:
    values: dict[str, Any] = {
        "random": bytes(32),
        "legacy_session_id": b"",
        "cipher_suites": [ECDSA_A128, RSA_A128],
        "extended_main_secret": True,
        "renegotiation_info": b"",
        "supported_groups": [X25519, P256],
        "ec_point_formats": b"\0",
        "signature_algorithms": SCHEMES,
    }
    return ClientHello(**{**values, **fields})


def terms(*keys: str, client: dict[str, Any] | None = None, **settings: Any) -> negotiate12.Terms12:
    config = server_config(identities=[identity(key) for key in keys or ("p256",)], **settings)
    return negotiate12.terms(config, hello(**client or {}), None)


# --- the hello


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"renegotiation_info": None},  # it says so by a suite, or is too old for it: a server is safe in both cases
        {"ec_point_formats": None},
        {"ec_point_formats": b"\1\2\0"},
        {"legacy_compression_methods": b"\1\0"},
        {"legacy_compression_methods": b"\0\1"},
        {"legacy_version": 0x0304},
        {"supported_groups": None},
    ],
)
def test_what_a_hello_may_be(changes: dict[str, Any]) -> None:
    negotiate12.check_hello(hello(**changes))


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        ({"legacy_compression_methods": b"\1"}, PeerMisbehaved, reasons.BAD_COMPRESSION),
        ({"renegotiation_info": b"x"}, PeerMisbehaved, reasons.BAD_RENEGOTIATION_INFO),
        ({"ec_point_formats": b"\1"}, PeerMisbehaved, reasons.BAD_POINT_FORMATS),
        ({"extended_main_secret": None}, PeerIncompatible, reasons.NO_EXTENDED_MAIN_SECRET),
    ],
)
def test_what_a_hello_has_to_be(changes: dict[str, Any], kind: type, reason: reasons.Reason) -> None:
    with fails(kind, reason):
        negotiate12.check_hello(hello(**changes))


# --- suite and identity


@pytest.mark.parametrize(
    ("keys", "theirs", "suite", "key"),
    [
        (("p256",), [RSA_A128, ECDSA_A128], ECDSA_A128, "p256"),
        (("rsa2048",), [ECDSA_A128, RSA_A128], RSA_A128, "rsa2048"),
        (("ed25519",), [RSA_A128, ECDSA_A128], ECDSA_A128, "ed25519"),  # RFC 8422 section 5.10: it goes with ECDSA
        (("p256", "rsa2048"), [RSA_A128, ECDSA_A128], ECDSA_A128, "p256"),
        (("rsa2048", "p256"), [ECDSA_A128, RSA_A128], ECDSA_A128, "p256"),  # the suite counts more than our order
        (("rsa2048", "p256"), [RSA_A256, RSA_A128], RSA_A128, "rsa2048"),
        (("p256", "rsa2048"), [RSA_CHACHA, ECDSA_A128], RSA_CHACHA, "rsa2048"),  # no fast AES: the client decides
        (("p256",), [0x0A0A, ECDSA_CHACHA, ECDSA_A128], ECDSA_CHACHA, "p256"),
        (("p256", "rsa2048"), [ECDSA_A128, RSA_CHACHA], ECDSA_A128, "p256"),
        (("p256",), [0x1301, ECDSA_A256], ECDSA_A256, "p256"),
    ],
)
def test_suite_and_identity_are_chosen_together(keys: tuple[str, ...], theirs: list[int], suite: int, key: str) -> None:
    agreed = terms(*keys, client={"cipher_suites": theirs})
    assert (agreed.suite.id, agreed.identity) == (suite, identity(key))


def test_the_client_decides_where_that_is_configured() -> None:
    theirs = {"cipher_suites": [ECDSA_A256, ECDSA_A128]}
    assert terms(client=theirs).suite.id == ECDSA_A128
    assert terms(client=theirs, suite_order="client").suite.id == ECDSA_A256


@pytest.mark.parametrize(
    ("key", "theirs", "scheme"),
    [
        ("rsa2048", [S.RSA_PKCS1_SHA256, S.RSA_PSS_RSAE_SHA256], S.RSA_PSS_RSAE_SHA256),  # PSS where there is a choice
        ("rsa2048", [S.RSA_PKCS1_SHA512, S.RSA_PKCS1_SHA1], S.RSA_PKCS1_SHA512),
        ("rsapss2048", [S.RSA_PKCS1_SHA256, S.RSA_PSS_PSS_SHA384], S.RSA_PSS_PSS_SHA384),
        ("p256", [S.ECDSA_SECP384R1_SHA384], S.ECDSA_SECP384R1_SHA384),  # any hash goes with any curve
        ("p256", [S.ECDSA_SECP384R1_SHA384, S.ECDSA_SECP256R1_SHA256], S.ECDSA_SECP256R1_SHA256),
    ],
)
def test_the_scheme(key: str, theirs: list[int], scheme: int) -> None:
    agreed = terms(key, client={"signature_algorithms": theirs, "cipher_suites": [ECDSA_A128, RSA_A128]})
    assert agreed.scheme == scheme


def test_an_identity_that_cannot_sign_leaves_the_suite_to_the_next() -> None:
    agreed = terms("p256", "rsa2048", client={"signature_algorithms": [S.RSA_PKCS1_SHA256]})
    assert (agreed.suite.id, agreed.identity) == (RSA_A128, identity("rsa2048"))


@pytest.mark.parametrize(
    ("key", "groups", "right"),
    [
        ("p256", [X25519, P256], True),
        ("p256", None, True),
        ("p256", [X25519], False),
        ("p384", [P256], False),
        ("ed25519", [P256], True),  # no curve of the list of groups (RFC 8422 section 5.1)
    ],
)
def test_a_certificate_is_on_a_curve_that_the_client_knows(key: str, groups: list[int] | None, right: bool) -> None:
    """RFC 8422 section 5.1: in TLS 1.2 the list of groups is for certificates too."""
    schemes = [*SCHEMES, S.ECDSA_SECP384R1_SHA384]
    client = {"supported_groups": groups, "signature_algorithms": schemes}
    if right:
        assert terms(key, client=client).identity is identity(key)
    else:
        with fails(PeerIncompatible, reasons.NO_COMMON_SIGNATURE_SCHEME) as caught:
            terms(key, client=client)
        assert caught.value.evidence["peer_knows_curves"] == [G.name(group) for group in groups or ()]
        assert caught.value.evidence["our_certificates_are"] == [{"p256": "secp256r1", "p384": "secp384r1"}[key]]


@pytest.mark.parametrize(
    ("key", "theirs"),
    [
        ("p256", [RSA_A128, RSA_CHACHA]),  # only for certificates that we do not have
        ("rsa2048", [ECDSA_A128]),
        ("p256", [0x002F, 0xC013, 0x00FF]),
        ("p256", [0x1301]),
        ("p256", []),
    ],
)
def test_no_suite(key: str, theirs: list[int]) -> None:
    with fails(PeerIncompatible, reasons.NO_COMMON_SUITE) as caught:
        terms(key, client={"cipher_suites": theirs}, cipher_suites=[ECDSA_A128, RSA_A128])
    assert caught.value.evidence == {
        "peer_offered": [C.name(suite) for suite in theirs],
        "we_accept": [C.name(ECDSA_A128), C.name(RSA_A128)],
        "our_certificates_are": [identity(key).kind],
    }


@pytest.mark.parametrize("theirs", [None, [], [S.ED25519], [S.ECDSA_SHA1, S.RSA_PKCS1_SHA1]])
def test_no_scheme(theirs: list[int] | None) -> None:
    """A client that names none has SHA-1 (RFC 5246 section 7.4.1.4.1), with which we never sign."""
    with fails(PeerIncompatible, reasons.NO_COMMON_SIGNATURE_SCHEME) as caught:
        terms("p256", client={"signature_algorithms": theirs})
    assert caught.value.evidence["peer_offered"] == [S.name(scheme) for scheme in theirs or ()]
    assert caught.value.evidence["we_can_sign_with"] == [
        "ecdsa_secp256r1_sha256",
        "ecdsa_secp384r1_sha384",
        "ecdsa_secp521r1_sha512",
    ]


def test_an_identity_that_tls_1_2_has_no_use_for() -> None:
    with fails(PeerIncompatible, reasons.NO_COMMON_SIGNATURE_SCHEME):
        terms("mldsa65", client={"signature_algorithms": [*SCHEMES, S.MLDSA65]})
    assert terms("mldsa65", "rsa2048").identity is identity("rsa2048")


def test_names_are_chosen_by_as_in_tls_1_3() -> None:
    first, second = identity("p256", "a.example"), identity("p256", "b.example")
    for name, who in (("b.example", second), ("a.example", first), ("c.example", first), (None, first)):
        config = server_config(identities=[first, second])
        assert negotiate12.terms(config, hello(server_name=name), None).identity is who
    strict = server_config(identities=[first, second], unknown_names="refuse")
    with fails(PeerIncompatible, reasons.UNRECOGNIZED_NAME):
        negotiate12.terms(strict, hello(server_name="c.example"), None)
    assert negotiate12.terms(strict, hello(server_name="c.example"), second).identity is second


# --- group and protocol


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [
        ((X25519, P256), [P256, X25519], X25519),  # our order
        ((P384, P256), [P256, P384], P384),
        ((X25519, P256), [0x0A0A, P256], P256),
        ((X25519, P256), None, P256),  # a client that names none
    ],
)
def test_the_group(ours: tuple[int, ...], theirs: list[int] | None, chosen: int) -> None:
    assert negotiate12.group(ours, theirs) == chosen


@pytest.mark.parametrize(
    ("ours", "theirs"), [((X25519,), [P256]), ((X25519,), None), ((P256,), []), ((P256,), [0x100])]
)
def test_no_group(ours: tuple[int, ...], theirs: list[int] | None) -> None:
    with fails(PeerIncompatible, reasons.NO_COMMON_GROUP) as caught:
        negotiate12.group(ours, theirs)
    expected = [P256] if theirs is None else theirs
    assert caught.value.evidence["peer_offered"] == [G.name(group) for group in expected]
    assert caught.value.evidence["we_accept"] == [G.name(group) for group in ours]


def test_a_hybrid_is_no_group_of_tls_1_2() -> None:
    config = server_config(groups=["X25519MLKEM768", "x25519"])
    client = hello(supported_groups=[G.X25519MLKEM768, X25519, P256])
    assert negotiate12.terms(config, client, None).group == X25519


def test_all_terms_together() -> None:
    agreed = terms(alpn=["h2"], client={"application_layer_protocol_negotiation": [b"h2"]})
    assert (agreed.suite.id, agreed.group, agreed.identity) == (ECDSA_A128, X25519, identity())
    assert (agreed.scheme, agreed.protocol) == (S.ECDSA_SECP256R1_SHA256, b"h2")
    with fails(PeerIncompatible, reasons.NO_COMMON_ALPN):
        terms(alpn=["h2"], client={"application_layer_protocol_negotiation": [b"x"]})


# --- kinds of keys


@pytest.mark.parametrize(
    ("key", "kind"),
    [("rsa", "RSA"), ("rsa-pss", "RSA"), ("secp256r1", "ECDSA"), ("ed25519", "ECDSA"), ("ed448", "ECDSA")],
)
def test_which_suites_a_key_is_for(key: str, kind: str) -> None:
    assert negotiate12.signed_by(key) == kind


# --- who a client is


def request(**fields: Any) -> CertificateRequest12:
    values: dict[str, Any] = {"certificate_types": b"\x40\x01", "signature_algorithms": SCHEMES}
    return CertificateRequest12(**{**values, **fields})


@pytest.mark.parametrize(
    ("keys", "fields", "who", "scheme"),
    [
        (("p256", "rsa2048"), {}, "p256", S.ECDSA_SECP256R1_SHA256),
        (("p256", "rsa2048"), {"certificate_types": b"\x01"}, "rsa2048", S.RSA_PSS_RSAE_SHA256),
        (("rsa2048", "p256"), {"certificate_types": b"\x40"}, "p256", S.ECDSA_SECP256R1_SHA256),
        (("ed25519",), {"certificate_types": b"\x40"}, "ed25519", S.ED25519),
        (("p256", "rsa2048"), {"signature_algorithms": [S.RSA_PKCS1_SHA256]}, "rsa2048", S.RSA_PKCS1_SHA256),
        (("p256",), {"certificate_types": b"\x01"}, None, 0),
        (
            ("p256", "rsa2048"),
            {"certificate_types": b"\x02\x03\x05\xff"},
            None,
            0,
        ),  # DSS, fixed DH, and what nobody knows
        (("p256",), {"signature_algorithms": [S.RSA_PKCS1_SHA256]}, None, 0),
        (("mldsa65",), {"signature_algorithms": [S.MLDSA65]}, None, 0),
        ((), {}, None, 0),
    ],
)
def test_a_client_shows_the_first_identity_that_the_server_can_accept(
    keys: tuple[str, ...], fields: dict[str, Any], who: str | None, scheme: int
) -> None:
    chosen = negotiate12.client_identity([identity(key) for key in keys], request(**fields), chosen=False)
    assert chosen == (None if who is None else identity(who), scheme)


def test_authorities_guide_a_client_unless_the_application_has_chosen() -> None:
    stranger = Authority.create("Other")
    ours = identity()
    theirs = list(stranger.trust.subjects())
    assert negotiate12.client_identity([ours], request(certificate_authorities=theirs), chosen=False) == (None, 0)
    assert negotiate12.client_identity([ours], request(certificate_authorities=theirs), chosen=True)[0] is ours
    both = [*theirs, *trust().subjects()]
    assert negotiate12.client_identity([ours], request(certificate_authorities=both), chosen=False)[0] is ours


def test_the_authorities_of_a_client_order_the_identities() -> None:
    """As in TLS 1.3 (RFC 9846 section 4.3.4): they guide the choice within what a suite and a name leave."""
    first, second = Authority.create("First"), Authority.create("Second")
    ours = [first.issue("a.example"), second.issue("a.example"), second.issue("b.example", key="rsa2048")]
    config = server_config(identities=ours)

    def chosen(*authorities: Authority, **fields: Any) -> int:
        names = [name for authority in authorities for name in authority.trust.subjects()]
        offered = hello(certificate_authorities=names or None, **{"server_name": "a.example", **fields})
        return ours.index(negotiate12.terms(config, offered, None).identity)  # type: ignore[arg-type]

    assert chosen() == 0
    assert chosen(first) == 0
    assert chosen(second) == 1
    assert chosen(second, first) == 0  # our order, among those that fit
    assert chosen(trust_of_nobody()) == 0
    assert chosen(first, server_name="b.example") == 2  # the name counts more
    assert chosen(second, cipher_suites=[RSA_A128], server_name=None) == 2  # and so does the suite
    assert chosen(second, server_name=None) == 1


def trust_of_nobody() -> Authority:
    return Authority.create("Nobody")


@pytest.mark.parametrize(
    ("in_certificates", "in_handshake", "first_key"),
    [
        (None, [S.ECDSA_SECP256R1_SHA256, S.ED25519], "ecdsa"),
        ([S.ED25519], [S.ECDSA_SECP256R1_SHA256, S.ED25519], "edwards"),
        ([S.ECDSA_SECP256R1_SHA256], [S.ED25519, S.ECDSA_SECP256R1_SHA256], "ecdsa"),
        # Where the list for certificates is missing, that for the handshake counts for both (RFC 9846 section 4.3.3).
        (None, [S.ED25519], "edwards"),
        # Neither can be verified, and a certificate that the client may know all the same is better than none.
        ([S.RSA_PKCS1_SHA256], [S.ECDSA_SECP256R1_SHA256, S.ED25519], "ecdsa"),
    ],
)
def test_a_chain_that_the_client_can_verify_comes_first(
    in_certificates: list[int] | None, in_handshake: list[int], first_key: str
) -> None:
    ecdsa = Authority.create("ECDSA").issue("a.example", key="ed25519")
    edwards = Authority.create("Edwards", key="ed25519").issue("a.example", key="ed25519")
    # Both keys sign by Ed25519; what differs is who has signed their certificates.
    schemes = [*in_handshake, S.ED25519] if S.ED25519 not in in_handshake else in_handshake
    offered = hello(server_name="a.example", signature_algorithms=schemes, signature_algorithms_cert=in_certificates)
    fitting = negotiate.fitting_identities([ecdsa, edwards], offered, False)
    who = {"ecdsa": ecdsa, "edwards": edwards}[first_key]
    assert fitting[0] is who
    agreed = negotiate12.terms(server_config(identities=[ecdsa, edwards]), offered, None)
    assert agreed.identity is who


def test_what_a_server_asks_for() -> None:
    config = server_config(client_authentication="required", signature_schemes=["ed25519", "rsa_pkcs1_sha256"])
    asked = certificate_request(config)
    assert asked.certificate_types == b"\x40\x01"  # ecdsa_sign, rsa_sign (RFC 8422 section 5.5)
    assert asked.signature_algorithms == [S.ED25519, S.RSA_PKCS1_SHA256]
    assert asked.certificate_authorities == list(trust().subjects())
    silent = server_config(client_authentication="required", client_authorities=())
    assert certificate_request(silent).certificate_authorities == []


@pytest.mark.parametrize("client_decides", [False, True])
def test_a_suite_that_is_offered_a_thousand_times_is_looked_at_once(client_decides: bool) -> None:
    """Or one hello of 64 KiB would cost seconds: suites times identities times schemes."""
    offered = [ECDSA_CHACHA] * 1_000 + [RSA_A128, ECDSA_CHACHA]
    assert negotiate.suites_in_order([RSA_A128, ECDSA_CHACHA], offered, client_decides) == [ECDSA_CHACHA, RSA_A128]

"""Where the two versions meet: what a client takes as an answer, and what it holds a server of TLS 1.2 to."""

from __future__ import annotations

from typing import Any

import pytest

from handfast import reasons
from handfast.certificates.peer import PeerIdentity
from handfast.crypto.suites import SUITES, SUITES_12
from handfast.errors import PeerIncompatible, PeerMisbehaved
from handfast.handshake import client12, negotiate12, resume12
from handfast.handshake.client import agreed_version
from handfast.handshake.hello import Offer, offer
from handfast.handshake.link import Link
from handfast.insecure import NoVerification
from handfast.record.layer import RecordLayer
from handfast.wire.alert import ChangeCipherSpec
from handfast.wire.codepoints import CipherSuite as C
from handfast.wire.codepoints import ExtensionType as E
from handfast.wire.codepoints import NamedGroup as G
from handfast.wire.codepoints import SignatureScheme as S
from handfast.wire.hello import DOWNGRADED_FURTHER, DOWNGRADED_TO_12, ClientHello, ServerHello
from handfast.wire.messages12 import ServerKeyExchange
from tests.handshake.parties import client_config, fails, identity, server_config

SUITE = C.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
RANDOM, OTHER = b"r" * 32, b"o" * 32


def answer(**fields: Any) -> ServerHello:
    """A ServerHello of TLS 1.2 that is right, but for ``fields``."""
    values: dict[str, Any] = {
        "random": RANDOM,
        "legacy_session_id_echo": b"",
        "cipher_suite": SUITE,
        "renegotiation_info": b"",
        "extended_main_secret": True,
    }
    made = ServerHello(**{**values, **fields})
    made.encode()
    return made


def offered(**settings: Any) -> Offer:
    config = client_config(**settings)
    return offer(Link(RecordLayer(), config), config, "localhost", None, b"")


# --- the version


@pytest.mark.parametrize(
    ("settings", "fields", "version"),
    [
        ({}, {"selected_version": 0x0304}, 0x0304),
        ({}, {}, 0x0303),
        ({"max_version": "1.2"}, {}, 0x0303),
        ({"min_version": "1.3"}, {"selected_version": 0x0304}, 0x0304),
        # The extension alone counts; legacy_version is looked at later.
        ({}, {"selected_version": 0x0304, "legacy_version": 0x0301}, 0x0304),
        # A client of TLS 1.2 alone cannot have been downgraded to it, and a server of TLS 1.3 marks all its answers.
        ({"max_version": "1.2"}, {"random": RANDOM[:24] + DOWNGRADED_TO_12}, 0x0303),
        # A server of TLS 1.3 whose random happens to end like that.
        ({}, {"selected_version": 0x0304, "random": RANDOM[:24] + DOWNGRADED_TO_12}, 0x0304),
    ],
)
def test_the_version_of_an_answer(settings: dict[str, Any], fields: dict[str, Any], version: int) -> None:
    assert agreed_version(client_config(**settings), answer(**fields)) == version


@pytest.mark.parametrize(
    ("settings", "selected"),
    [
        ({}, 0x0303),
        ({}, 0x0302),
        ({}, 0x0305),
        ({}, 0x7F1C),
        ({"max_version": "1.2"}, 0x0304),
        ({"max_version": "1.2"}, 0x0303),
    ],
)
def test_a_version_that_was_not_offered_cannot_be_selected(settings: dict[str, Any], selected: int) -> None:
    """RFC 9846 section 4.3.1: by the extension nothing older than TLS 1.3 is selected."""
    with fails(PeerMisbehaved, reasons.VERSION_NOT_OFFERED) as caught:
        agreed_version(client_config(**settings), answer(selected_version=selected))
    assert caught.value.evidence["we_offered"] == (["TLSv1.2"] if settings else ["TLSv1.3", "TLSv1.2"])


@pytest.mark.parametrize(
    ("settings", "legacy"),
    [
        ({}, 0x0302),
        ({}, 0x0301),
        ({}, 0x0300),
        ({}, 0x0304),
        ({}, 0x0305),
        ({"min_version": "1.3"}, 0x0303),
        ({"max_version": "1.2"}, 0x0302),
    ],
)
def test_older_servers_are_named(settings: dict[str, Any], legacy: int) -> None:
    with fails(PeerIncompatible, reasons.NO_COMMON_VERSION) as caught:
        agreed_version(client_config(**settings), answer(legacy_version=legacy))
    names = {0x0300: "SSLv3", 0x0305: "0x0305"}
    assert caught.value.evidence["peer_speaks"] == names.get(legacy, f"TLSv1.{legacy - 0x0301}")


@pytest.mark.parametrize("mark", [DOWNGRADED_TO_12, DOWNGRADED_FURTHER])
@pytest.mark.parametrize("legacy", [0x0303, 0x0302, 0x0301])
@pytest.mark.parametrize("settings", [{}, {"min_version": "1.3"}], ids=["both", "1.3"])
def test_a_downgrade_shows(settings: dict[str, Any], legacy: int, mark: bytes) -> None:
    """RFC 9846 section 4.2.3: who could have spoken TLS 1.3 with us has been made to believe that we cannot."""
    assert len(mark) == 8
    with fails(PeerMisbehaved, reasons.DOWNGRADE):
        agreed_version(client_config(**settings), answer(random=RANDOM[:24] + mark, legacy_version=legacy))


@pytest.mark.parametrize("random", [DOWNGRADED_TO_12 + RANDOM[:24], RANDOM[:23] + DOWNGRADED_TO_12 + b"x"])
def test_the_mark_stands_at_the_end(random: bytes) -> None:
    assert agreed_version(client_config(), answer(random=random)) == 0x0303


def test_the_marks_are_those_of_the_rfc() -> None:
    assert bytes.fromhex("444f574e47524401") == DOWNGRADED_TO_12
    assert bytes.fromhex("444f574e47524400") == DOWNGRADED_FURTHER


# --- what a server says


def hello(**fields: Any) -> ClientHello:
    values: dict[str, Any] = {
        "random": OTHER,
        "legacy_session_id": b"session",
        "cipher_suites": [SUITE],
        "extended_main_secret": True,
        "signature_algorithms": [S.ECDSA_SECP256R1_SHA256],
    }
    return ClientHello(**{**values, **fields})


def said(client: dict[str, Any] | None = None, **settings: Any) -> ServerHello:
    config, asked = server_config(**settings), hello(**client or {})
    terms = negotiate12.terms(config, asked, None)
    named = terms.identity.fits(asked.server_name) if asked.server_name else False
    made = resume12.server_hello(config, asked, terms.suite, terms.protocol, named=named)
    made.encode()
    return made


@pytest.mark.parametrize(
    ("settings", "marked"), [({}, True), ({"max_version": "1.2"}, False), ({"max_version": "1.3"}, True)]
)
def test_a_server_that_speaks_tls_1_3_marks_its_random(settings: dict[str, Any], marked: bool) -> None:
    for _ in range(3):
        assert (said(**settings).random[-8:] == b"DOWNGRD\x01") is marked
    assert len({said(**settings).random for _ in range(3)}) == 3
    assert len(said(**settings).random) == 32


def test_a_server_resumes_nothing_and_compresses_nothing() -> None:
    made = said()
    assert (made.legacy_session_id_echo, made.legacy_compression_method, made.legacy_version) == (b"", 0, 0x0303)
    assert made.selected_version is None
    assert made.extended_main_secret


@pytest.mark.parametrize(
    ("client", "extensions"),
    [
        ({}, set()),
        ({"renegotiation_info": b""}, {E.RENEGOTIATION_INFO}),
        ({"cipher_suites": [SUITE, C.TLS_EMPTY_RENEGOTIATION_INFO_SCSV]}, {E.RENEGOTIATION_INFO}),
        ({"ec_point_formats": b"\0\1"}, {E.EC_POINT_FORMATS}),
        ({"server_name": "localhost"}, {E.SERVER_NAME}),
        ({"server_name": "other.example"}, set()),
        ({"application_layer_protocol_negotiation": [b"h2"]}, {E.APPLICATION_LAYER_PROTOCOL_NEGOTIATION}),
        ({"record_size_limit": 1000}, {E.RECORD_SIZE_LIMIT}),
    ],
)
def test_a_server_answers_what_it_was_asked(client: dict[str, Any], extensions: set[int]) -> None:
    """An answer to something else would be refused (RFC 5246 section 7.4.1.4)."""
    made = said(client, alpn=["h2"])
    assert set(made.extension_types) == {E.EXTENDED_MAIN_SECRET} | extensions


@pytest.mark.parametrize(("ours", "answered"), [(None, 16_384), (100, 100), (16_384, 16_384), (16_385, 16_384)])
def test_a_record_size_limit_is_of_content_alone(ours: int | None, answered: int) -> None:
    assert said({"record_size_limit": 512}, record_size_limit=ours).record_size_limit == answered


# --- what a client holds its server to


def test_a_right_answer_is_taken() -> None:
    there = offered()
    assert client12.agreed_suite(there, answer()).id == SUITE
    client12.check_extensions(there, answer(ec_point_formats=b"\1\0", server_name_acknowledged=True))
    client12.check_extensions(offered(alpn=["h2"]), answer(application_layer_protocol_negotiation=b"h2"))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"legacy_compression_method": 1}, reasons.BAD_COMPRESSION),
        ({"cipher_suite": C.TLS_AES_128_GCM_SHA256}, reasons.SUITE_NOT_OFFERED),  # of TLS 1.3
        ({"cipher_suite": C.TLS_ECDHE_ECDSA_WITH_AES_128_CCM}, reasons.SUITE_NOT_OFFERED),
        ({"cipher_suite": C.TLS_RSA_WITH_AES_128_GCM_SHA256}, reasons.SUITE_NOT_OFFERED),
        ({"cipher_suite": C.TLS_FALLBACK_SCSV}, reasons.SUITE_NOT_OFFERED),
    ],
)
def test_what_a_server_may_not_choose(fields: dict[str, Any], reason: reasons.Reason) -> None:
    with fails(PeerMisbehaved, reason):
        client12.agreed_suite(offered(), answer(**fields))


def test_nothing_is_resumed() -> None:
    """A server that echoes our session id goes on with a session, and there is none."""
    there = offered()
    assert len(there.message.legacy_session_id) == 32
    with fails(PeerMisbehaved, reasons.RESUMED_NOTHING):
        client12.agreed_suite(there, answer(legacy_session_id_echo=there.message.legacy_session_id))
    client12.agreed_suite(there, answer(legacy_session_id_echo=b"a new session"))
    client12.agreed_suite(offered(max_version="1.2"), answer())  # two empty ones are no echo


@pytest.mark.parametrize(
    ("fields", "kind", "reason"),
    [
        ({"renegotiation_info": None}, PeerIncompatible, reasons.NO_SECURE_RENEGOTIATION),
        ({"renegotiation_info": b"x"}, PeerMisbehaved, reasons.BAD_RENEGOTIATION_INFO),
        ({"extended_main_secret": None}, PeerIncompatible, reasons.NO_EXTENDED_MAIN_SECRET),
        ({"ec_point_formats": b"\1"}, PeerMisbehaved, reasons.BAD_POINT_FORMATS),
        ({"application_layer_protocol_negotiation": b"h2"}, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION),
        ({"record_size_limit": 64}, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION),
        ({"other_extensions": {E.SESSION_TICKET: b""}}, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION),
        ({"other_extensions": {E.ENCRYPT_THEN_MAC: b""}}, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION),
        ({"other_extensions": {E.HEARTBEAT: b"\1"}}, PeerMisbehaved, reasons.UNSOLICITED_EXTENSION),
    ],
)
def test_what_a_server_may_not_answer(fields: dict[str, Any], kind: type, reason: reasons.Reason) -> None:
    with fails(kind, reason):
        client12.check_extensions(offered(), answer(**fields))


def test_a_protocol_that_was_not_offered() -> None:
    with fails(PeerMisbehaved, reasons.ALPN_NOT_OFFERED):
        client12.check_extensions(offered(alpn=["h2"]), answer(application_layer_protocol_negotiation=b"h3"))


@pytest.mark.parametrize(
    ("ours", "theirs", "sending", "receiving"),
    [
        (None, None, 16_384, 16_385),
        (100, None, 16_384, 16_385),  # a server that does not know the extension
        (100, 200, 200, 100),
        (16_385, 16_384, 16_384, 16_385),
    ],
)
def test_record_sizes(ours: int | None, theirs: int | None, sending: int, receiving: int) -> None:
    config = client_config(record_size_limit=ours)
    link = Link(RecordLayer(), config)
    client12.agree_on_record_sizes(link, offer(link, config, "localhost", None, b""), answer(record_size_limit=theirs))
    assert (link.layer._send_limit, link.layer._receive_limit) == (sending, receiving)


# --- ServerKeyExchange


def exchanged(
    key: str = "p256", group: int = G.X25519, scheme: int | None = None, randoms: Any = (OTHER, RANDOM)
) -> Any:
    """A ServerKeyExchange that is signed over these randoms, and whom it is by."""
    who = identity(key)
    scheme = scheme or who.schemes_12[0]
    content = b"".join(randoms) + ServerKeyExchange.params(group, b"public")
    signature = who.signer.sign(scheme, content)
    assert isinstance(signature, bytes)
    peer = NoVerification().verify_server(who.chain, "localhost", client_config().clock.wall())
    return peer, ServerKeyExchange(group, b"public", scheme, signature)


@pytest.mark.parametrize("key", ["p256", "p384", "ed25519", "rsa2048", "rsapss2048"])
def test_a_share_that_is_signed_as_it_has_to_be(key: str) -> None:
    client12.check_exchange(offered(), *exchanged(key), (OTHER, RANDOM))


@pytest.mark.parametrize(
    ("settings", "fields", "reason"),
    [
        ({}, {"group": G.SECP521R1}, reasons.GROUP_NOT_OFFERED),
        ({}, {"group": G.X25519MLKEM768}, reasons.GROUP_NOT_OFFERED),  # offered, and for TLS 1.3 alone
        ({"groups": ["secp256r1"]}, {"group": G.X25519}, reasons.GROUP_NOT_OFFERED),
        ({"signature_schemes": ["ed25519"]}, {}, reasons.SCHEME_NOT_OFFERED),
        ({}, {"randoms": (RANDOM, OTHER)}, reasons.BAD_SIGNATURE),
        ({}, {"randoms": (OTHER, b"x" * 32)}, reasons.BAD_SIGNATURE),  # of another connection
        ({}, {"randoms": ()}, reasons.BAD_SIGNATURE),
    ],
)
def test_a_share_that_is_not(settings: dict[str, Any], fields: dict[str, Any], reason: reasons.Reason) -> None:
    with fails(PeerMisbehaved, reason):
        client12.check_exchange(offered(**settings), *exchanged(**fields), (OTHER, RANDOM))


def test_a_scheme_of_tls_1_3_alone_was_not_offered_for_tls_1_2() -> None:
    peer, exchange = exchanged()
    exchange.algorithm = S.MLDSA44
    with fails(PeerMisbehaved, reasons.SCHEME_NOT_OFFERED):
        client12.check_exchange(offered(), peer, exchange, (OTHER, RANDOM))


# --- the key of the certificate


def peer_with(key: str) -> PeerIdentity:
    who = identity(key)
    return NoVerification().verify_server(who.chain, "localhost", client_config().clock.wall())


RSA_SUITE = C.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256


@pytest.mark.parametrize(
    ("suite", "key", "groups"),
    [
        (SUITE, "p256", ["x25519", "secp256r1"]),
        (SUITE, "p384", ["secp384r1"]),
        (SUITE, "ed25519", ["x25519"]),  # no curve of the list of groups (RFC 8422 section 5.1)
        (SUITE, "ed448", ["x25519"]),
        (RSA_SUITE, "rsa2048", ["x25519"]),
        (RSA_SUITE, "rsapss2048-sha384", ["x25519"]),
        (SUITE, "p256", None),
    ],
)
def test_a_key_that_goes_with_suite_and_groups(suite: int, key: str, groups: list[str] | None) -> None:
    client12.check_key(offered(groups=groups), SUITES_12[suite], peer_with(key))


@pytest.mark.parametrize(
    ("suite", "key"),
    [(RSA_SUITE, "p256"), (RSA_SUITE, "ed25519"), (SUITE, "rsa2048"), (SUITE, "rsapss2048"), (RSA_SUITE, "mldsa44")],
)
def test_a_key_of_another_kind_than_the_suite_says(suite: int, key: str) -> None:
    """RFC 5246 section 7.4.2: a server with two certificates shows the one that goes with the suite."""
    with fails(PeerMisbehaved, reasons.WRONG_SIGNATURE_TYPE) as caught:
        client12.check_key(offered(), SUITES_12[suite], peer_with(key))
    assert caught.value.evidence == {"suite": C.name(suite), "key": identity(key).kind}


@pytest.mark.parametrize(("key", "groups"), [("p256", ["x25519"]), ("p384", ["x25519", "secp256r1"]), ("p521", None)])
def test_a_key_on_a_curve_that_was_not_offered(key: str, groups: list[str] | None) -> None:
    """RFC 8422 section 5.3. The default groups leave out P-521."""
    offer_ = offered(groups=groups)
    with fails(PeerMisbehaved, reasons.GROUP_NOT_OFFERED) as caught:
        client12.check_key(offer_, SUITES_12[SUITE], peer_with(key))
    assert caught.value.evidence == {
        "selected": identity(key).kind,
        "we_offered": [G.name(group) for group in offer_.config.group_12_ids],
    }


# --- what is offered


@pytest.mark.parametrize(
    ("settings", "versions"),
    [
        ({}, [0x0304, 0x0303]),
        ({"signature_schemes": ["mldsa65", "ed25519"]}, [0x0304, 0x0303]),
        ({"signature_schemes": ["mldsa65"]}, [0x0304]),
        ({"signature_schemes": ["rsa_pkcs1_sha256"]}, None),
    ],
)
def test_a_version_without_a_signature_scheme_is_not_offered(
    settings: dict[str, Any], versions: list[int] | None
) -> None:
    hello = offered(**settings).message
    assert hello.supported_versions == versions
    assert any(suite in SUITES for suite in hello.cipher_suites) is (versions is not None)
    assert any(suite in SUITES_12 for suite in hello.cipher_suites) is (versions != [0x0304])
    assert (hello.extended_main_secret is not None) is (versions != [0x0304])


# --- ChangeCipherSpec


def test_a_change_cipher_spec_is_no_handshake_message() -> None:
    assert ChangeCipherSpec.parse(b"\1") == ChangeCipherSpec()
    assert (ChangeCipherSpec().raw, ChangeCipherSpec().changes_keys) == (b"\1", False)
    assert ChangeCipherSpec.TYPE not in range(256)

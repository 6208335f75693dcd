"""What a context demands when a connection is wrapped is demanded to the end: OpenSSL copies it, and programs count on it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from handfast import ASK, ClientConfig, ServerConfig
from handfast.testing import Authority
from handfast.testing.authority import certify, new_key, subject_of
from handfast.transport.ssl_module.facts import certificate
from tests.ssl_module.conftest import MODULES, Make
from tests.ssl_module.memory import Pair, failure, shaken

Files = dict[str, Path]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> ModuleType:
    return MODULES[request.param]


@pytest.fixture
def client_with(files: Files, client_of: Make) -> Make:
    def make(certificate: bool) -> Any:
        context = client_of(ssl)
        if certificate:
            context.load_cert_chain(files["client"], files["client_key"])
        return context

    return make


def switching(first: Any, second: Any) -> Any:
    """``first``, whose callback goes over to ``second``."""

    def choose(side: Any, _: str | None, __: Any) -> None:
        side.context = second

    first.sni_callback = choose
    return first


@pytest.mark.parametrize("certificate", [True, False])
@pytest.mark.parametrize("mode", [ssl.CERT_REQUIRED, ssl.CERT_OPTIONAL])
def test_a_context_that_is_there_for_its_certificate_lets_nobody_in(
    module: ModuleType, files: Files, server_of: Make, client_with: Make, mode: ssl.VerifyMode, certificate: bool
) -> None:
    first, second = server_of(module), server_of(module)
    first.verify_mode = mode
    for context in (first, second):
        context.load_verify_locations(files["ca"])
    pair = Pair(client_with(certificate), switching(first, second))
    if mode == ssl.CERT_REQUIRED and not certificate:
        assert failure(pair.shake).reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"  # type: ignore[attr-defined]
    else:
        pair.shake()
        assert bool(pair.server.getpeercert(True)) is certificate


@pytest.mark.parametrize("strict", [True, False])
def test_a_client_known_by_its_subject_alone_is_let_in_as_with_ssl(
    module: ModuleType,
    authority: Authority,
    files: Files,
    server_of: Make,
    client_of: Make,
    tmp_path: Path,
    strict: bool,
) -> None:
    """OpenSSL asks no subjectAltName of clients, in its strict mode neither."""
    server, client = server_of(module), client_of()
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(files["ca"])
    server.verify_flags = ssl.VERIFY_X509_STRICT if strict else ssl.VERIFY_DEFAULT
    client.load_cert_chain(*authority.issue(common_name="me", usage=("client",)).write(tmp_path))
    pair = Pair(client, server).shake()
    assert pair.server.getpeercert()["subject"][-1] == (("commonName", "me"),)
    if module is not ssl:
        peer = pair.server.handfast.handshake.peer
        assert (peer.verified_by, peer.subject) == ("chain", "CN=me,O=handfast testing")
        assert peer.path[-1] == authority.der


def test_its_roots_are_those_that_count(module: ModuleType, files: Files, server_of: Make, client_with: Make) -> None:
    first, second = server_of(module), server_of(module)
    first.verify_mode = ssl.CERT_REQUIRED
    first.load_verify_locations(files["ca"])
    second.load_verify_locations(cadata=Authority.create("Another CA").der)
    error = failure(Pair(client_with(True), switching(first, second)).shake)
    assert isinstance(error, ssl.SSLCertVerificationError)


def test_what_handfast_was_told_to_demand_stays_too(authority: Authority, server_of: Make, client_with: Make) -> None:
    first, second = server_of(), server_of()
    first.handfast = ServerConfig(
        identities=[authority.issue("localhost")], client_authentication="required", client_trust=authority.trust
    )
    error = failure(Pair(client_with(False), switching(first, second)).shake)
    assert error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"  # type: ignore[attr-defined]
    assert shaken(client_with(True), first).server.getpeercert()["subjectAltName"] == (("DNS", "me.test"),)


@pytest.mark.parametrize("told", ["none", "optional"])
def test_what_ssl_was_told_to_demand_is_not_loosened_by_handfast(
    authority: Authority, server_of: Make, client_with: Make, told: str
) -> None:
    server = server_of()
    server.verify_mode = ssl.CERT_REQUIRED
    server.handfast = ServerConfig(
        identities=[authority.issue("localhost")], client_authentication=told, client_trust=authority.trust
    )
    error = failure(Pair(client_with(False), server).shake)
    assert error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"  # type: ignore[attr-defined]
    assert shaken(client_with(True), server).server.getpeercert()["subjectAltName"] == (("DNS", "me.test"),)


def test_versions_stay(module: ModuleType, server_of: Make, client_of: Make) -> None:
    first, second = server_of(module), server_of(module)
    first.minimum_version = ssl.TLSVersion.TLSv1_3
    error = failure(Pair(client_of(ssl, version="TLSv1_2"), switching(first, second)).shake)
    assert error.reason == "UNSUPPORTED_PROTOCOL"  # type: ignore[attr-defined]


def test_two_contexts_with_no_version_in_common_are_an_error(server_of: Make, client_of: Make) -> None:
    first, second = server_of(version="TLSv1_3"), server_of(version="TLSv1_2")
    assert isinstance(failure(Pair(client_of(ssl), switching(first, second)).shake), ssl.SSLError)


def test_a_client_that_was_wrapped_verifies(module: ModuleType, server_of: Make, client_of: Make) -> None:
    client = client_of(module)
    pair = Pair(client, server_of(name="other"))
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    error = failure(pair.shake)
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert error.verify_code == 62
    pair = Pair(client_of(module), server_of(name="other"))
    pair.client.context = client
    assert isinstance(failure(pair.shake), ssl.SSLCertVerificationError)
    shaken(client, server_of(name="other"))


def test_a_server_that_was_wrapped_asks(module: ModuleType, files: Files, server_of: Make, client_with: Make) -> None:
    server = server_of(module)
    server.load_verify_locations(files["ca"])
    server.verify_mode = ssl.CERT_REQUIRED
    pair = Pair(client_with(False), server)
    server.verify_mode = ssl.CERT_NONE
    assert failure(pair.shake).reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE"  # type: ignore[attr-defined]


def test_a_callback_that_waits_leaves_the_other_context_in_force(
    files: Files, server_of: Make, client_with: Make
) -> None:
    async def no_other(_: object) -> None:
        return None

    first, second = server_of(name="other"), server_of()
    second.load_verify_locations(files["ca"])
    second.verify_mode = ssl.CERT_REQUIRED
    second.handfast = ServerConfig(identities=(), on_client_hello=no_other)
    pair = shaken(client_with(True), switching(first, second))
    assert pair.server.getpeercert()["subjectAltName"] == (("DNS", "me.test"),)


def test_a_question_that_nobody_can_answer_is_not_passed_over(server_of: Make, client_of: Make) -> None:
    server = server_of()
    server.handfast = ServerConfig(on_client_hello=ASK)
    assert "pulls events" in str(failure(Pair(client_of(ssl), server).shake))


def test_settings_that_go_to_and_fro_are_worked_out_once(client_of: Make) -> None:
    client = client_of()
    strict = client._config(ClientConfig)
    client.check_hostname = False
    loose = client._config(ClientConfig)
    assert loose is not strict
    client.check_hostname = True
    assert client._config(ClientConfig) is strict
    for number in range(40):
        client.verify_flags = number << 12
        client._config(ClientConfig)
    assert len(client._made[ClientConfig]) <= 8


def test_a_certificate_that_a_callback_has_accepted_unread_is_an_error_of_ssl(
    authority: Authority,
) -> None:
    garbage = x509.UnrecognizedExtension(ExtensionOID.AUTHORITY_INFORMATION_ACCESS, b"\x30\x03\x02")
    key = new_key("p256")
    now = datetime.now(UTC)
    der = certify(
        subject_of("localhost"),
        key.public_key(),
        authority.certificate.subject,
        authority.key,
        {x509.AuthorityInformationAccess: (garbage, False)},
        (now, now + timedelta(days=1)),
    )
    with pytest.raises(ssl.SSLError, match="cannot be parsed"):
        certificate(der)

"""SSLContext: its settings, their coupling, what is loaded, and what that comes to."""

from __future__ import annotations

import gc
import itertools
import os
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from handfast import ClientConfig, ServerConfig
from handfast.certificates import pem
from handfast.testing import Authority
from handfast.testing.authority import key_pem
from handfast.transport import ssl_module
from handfast.transport.ssl_module import trust
from handfast.wire.codepoints import CipherSuite
from tests.peers import require_peer
from tests.ssl_module.conftest import MODULES, Make
from tests.ssl_module.memory import Pair, failure, shaken

Files = dict[str, Path]


@pytest.fixture
def client() -> ssl_module.SSLContext:
    return ssl_module.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


# --- the module ---------------------------------------------------------------------------------------------------


def test_every_name_of_ssl_is_there() -> None:
    missing = [name for name in dir(ssl) if not hasattr(ssl_module, name)]
    assert not missing
    assert set(dir(ssl)) <= set(dir(ssl_module))
    with pytest.raises(AttributeError):
        _ = ssl_module.no_such_name


def test_what_makes_contexts_makes_ours() -> None:
    for make in (
        ssl_module.create_default_context,
        ssl_module._create_unverified_context,
        ssl_module._create_default_https_context,
        ssl_module._create_stdlib_context,
    ):
        assert isinstance(make(), ssl_module.SSLContext)


@pytest.mark.parametrize("purpose", [ssl.Purpose.SERVER_AUTH, ssl.Purpose.CLIENT_AUTH])
@pytest.mark.parametrize("make", ["create_default_context", "_create_unverified_context"])
def test_defaults_are_those_of_ssl(make: str, purpose: ssl.Purpose) -> None:
    ours, theirs = (getattr(module, make)(purpose=purpose) for module in (ssl_module, ssl))
    for name in (
        *("check_hostname", "verify_mode", "verify_flags", "options", "minimum_version", "maximum_version", "protocol"),
        *("post_handshake_auth", "hostname_checks_common_name", "keylog_filename", "sni_callback", "security_level"),
    ):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.session_stats() == theirs.session_stats()
    assert (ours.num_tickets, type(ours.verify_mode)) == (theirs.num_tickets, type(theirs.verify_mode))


def test_purposes_are_checked() -> None:
    with pytest.raises(TypeError):
        ssl_module.create_default_context("client")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ssl_module.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_default_certs(None)
    with pytest.raises(ValueError, match="certfile must be specified"):
        ssl_module._create_unverified_context(keyfile="key.pem")


def test_deprecated_ways_warn_where_they_are_used(client_of: Make) -> None:
    with pytest.warns(DeprecationWarning, match="ssl") as caught:
        ssl_module.SSLContext()
    with pytest.warns(DeprecationWarning, match="ssl") as also:
        ssl_module.SSLContext(ssl.PROTOCOL_TLS)
    assert {warning.filename for warning in (*caught, *also)} == {__file__}


def test_the_key_log_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert ssl_module.create_default_context().keylog_filename == str(tmp_path / "keys")


# --- settings -------------------------------------------------------------------------------------------------------


Change = Callable[[Any], Any]
CHANGES: list[Change] = [
    lambda context: setattr(context, "verify_mode", ssl.CERT_NONE),
    lambda context: setattr(context, "check_hostname", False),
    lambda context: setattr(context, "verify_mode", ssl.CERT_NONE),
    lambda context: setattr(context, "check_hostname", True),
    lambda context: setattr(context, "verify_mode", ssl.CERT_OPTIONAL),
    lambda context: setattr(context, "verify_mode", 7),
    lambda context: setattr(context, "verify_mode", "none"),
    lambda context: setattr(context, "options", "none"),
    lambda context: setattr(context, "verify_flags", None),
    lambda context: setattr(context, "minimum_version", 5),
    lambda context: setattr(context, "num_tickets", 1),
    lambda context: setattr(context, "sni_callback", 4),
    lambda context: context.set_servername_callback(4),
    lambda context: context.set_alpn_protocols(["x" * 256]),
    lambda context: context.set_alpn_protocols([""]),
    lambda context: context.set_ecdh_curve("P-1"),
    lambda context: context.set_ecdh_curve(None),
    lambda context: context.set_ciphers("rhubarb"),
    lambda context: context.set_ciphers("TLS_AES_128_GCM_SHA256"),
    lambda context: context.load_dh_params(None),
    lambda context: context.load_dh_params("/nowhere/dh.pem"),
    lambda context: context.load_verify_locations(),
    lambda context: context.load_verify_locations("/nowhere/ca.pem"),
    lambda context: context.load_verify_locations(None, True),
    lambda context: context.load_verify_locations(cadata=b"x"),
    lambda context: context.load_verify_locations(cadata="x"),
    lambda context: context.load_verify_locations(cadata=5),
    lambda context: context.load_cert_chain("/nowhere/cert.pem"),
    lambda context: context.load_cert_chain(None),
    lambda context: context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=""),
    lambda context: context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=".test"),
    lambda context: context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="a\0b"),
    lambda context: context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True),
    lambda context: context.wrap_bio(1, ssl.MemoryBIO(), server_hostname="localhost"),
    lambda context: context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost", session=1),
]


def _outcome(change: Change, context: Any) -> tuple[Any, ...]:
    try:
        change(context)
    except Exception as error:
        kind = next(base for base in type(error).__mro__ if base.__module__ in {"ssl", "builtins"})
        return (kind, *(() if isinstance(error, ssl.SSLError) else error.args))
    return (context.verify_mode, context.check_hostname)


def test_settings_are_coupled_and_refused_as_in_ssl(client: Any) -> None:
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for number, change in enumerate(CHANGES):
        assert (number, _outcome(change, client)) == (number, _outcome(change, theirs))


def test_a_name_is_needed_where_it_counts(client: Any) -> None:
    """``ssl`` lets this pass, and then compares no name."""
    with pytest.raises(ValueError, match="check_hostname requires server_hostname"):
        client.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO())


def test_names_that_tls_cannot_send(client_of: Make, server_of: Make) -> None:
    context = client_of()
    assert "no" in str(failure(Pair(context, server_of(), "my_service").shake))
    context.check_hostname = False
    assert shaken(context, server_of(), "my_service").client.server_hostname == "my_service"


def test_a_change_counts_for_the_next_connection(client_of: Make, server_of: Make) -> None:
    client, server = client_of(), server_of()
    first = client._config(ClientConfig)
    assert client._config(ClientConfig) is first
    assert shaken(client, server).client.version() == "TLSv1.3"
    assert client._config(ClientConfig) is first
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shaken(client, server).client.version() == "TLSv1.2"
    assert client._config(ClientConfig) is not first


def test_options_forbid_versions(client_of: Make, server_of: Make) -> None:
    context = client_of()
    with pytest.warns(DeprecationWarning, match="OP_NO"):
        context.options |= ssl.OP_NO_TLSv1_3
    assert shaken(context, server_of()).client.version() == "TLSv1.2"


def test_protocols_of_one_version(files: Files, server_of: Make) -> None:
    with pytest.warns(DeprecationWarning, match="PROTOCOL_TLSv1_2"):
        context = ssl_module.SSLContext(ssl.PROTOCOL_TLSv1_2)
    context.load_verify_locations(files["ca"])
    assert shaken(context, server_of()).client.version() == "TLSv1.2"


def test_whose_order_of_suites_counts(client_of: Make, server_of: Make) -> None:
    client, server = client_of(version="TLSv1_2"), server_of(version="TLSv1_2")
    client.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256")
    server.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384")
    assert "AES128" in shaken(client, server).client.cipher()[0]
    server.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    assert "AES256" in shaken(client, server).client.cipher()[0]


def test_what_is_set_again_is_no_change(client_of: Make, server_of: Make, files: Files) -> None:
    """urllib3 loads roots, certificate and key again for each connection."""
    client, server = client_of(alpn=("h2",)), server_of()
    client.load_cert_chain(files["client"], files["client_key"])
    client.set_ciphers("ECDHE+AESGCM")
    client.set_ecdh_curve("X25519")
    config = client._config(ClientConfig)
    for _ in range(3):
        client.load_verify_locations(files["ca"])
        client.load_cert_chain(files["client"], files["client_key"])
        client.set_alpn_protocols(["h2"])
        client.set_ciphers("ECDHE+AESGCM")
        client.set_ecdh_curve("X25519")
        shaken(client, server)
    assert client._config(ClientConfig) is config
    assert len(client._roots) == len(client.get_ca_certs()) == 1


def test_connections_leave_nothing_to_the_garbage_collector(client_of: Make, server_of: Make) -> None:
    client, server = client_of(), server_of(alpn=("h2",))
    shaken(client, server)
    gc.collect()
    gc.disable()
    try:
        shaken(client, server)
        assert gc.collect() == 0
        del client, server
        assert gc.collect() == 0
    finally:
        gc.enable()


# --- suites, groups, protocols --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("DEFAULT", 6),
        ("HIGH:!aNULL:!MD5", 6),
        ("ECDHE+AESGCM", 4),
        ("ECDHE+CHACHA20", 2),
        ("@SECLEVEL=2:ECDH+AESGCM:ECDH+CHACHA20:DHE+AES:!aNULL:!eNULL:!aDSS:!SHA1", 6),
        ("ECDHE-RSA-AES128-GCM-SHA256", 1),
        ("aECDSA+AESGCM:!AES128", 1),
    ],
)
def test_strings_of_openssl(text: str, number: int, client: Any) -> None:
    client.set_ciphers(text)
    named = [cipher for cipher in client.get_ciphers() if cipher["protocol"] != "TLSv1.3"]
    assert len([cipher for cipher in named if "CCM" not in cipher["name"]]) == number
    assert len([cipher for cipher in client.get_ciphers() if cipher["protocol"] == "TLSv1.3"]) == 3
    assert set(client.get_ciphers()[0]) == set(ssl.create_default_context().get_ciphers()[0])


def test_a_string_that_names_nothing_of_ours(client: Any) -> None:
    with pytest.raises(ssl.SSLError, match=r"No cipher can be selected.*AES128-SHA.*Lucky 13"):
        client.set_ciphers("ECDHE-RSA-AES128-SHA:AES128-SHA")
    assert len(client.get_ciphers()) == 9  # as before


def test_one_group(client_of: Make, server_of: Make) -> None:
    for name, group in (("prime256v1", "secp256r1"), ("secp521r1", "secp521r1"), ("X448", "x448")):
        server = server_of()
        server.set_ecdh_curve(name)
        client = client_of()
        client.handfast = ClientConfig(groups=["x25519", group])
        assert shaken(client, server).client.handfast.handshake.group == group
    with pytest.raises(ValueError, match="not a group of handfast's"):
        server.set_ecdh_curve("brainpoolP256r1")


def test_protocols_without_any_in_common(client_of: Make, server_of: Make) -> None:
    """``ssl`` goes on without one."""
    pair = shaken(client_of(alpn=("spdy/1",)), server_of(alpn=("h2",)))
    assert pair.client.selected_alpn_protocol() is pair.server.selected_alpn_protocol() is None


def test_npn_is_refused(client: Any) -> None:
    with pytest.raises(NotImplementedError):
        client.set_npn_protocols(["http/1.1"])


def test_pre_shared_keys_are_refused(client: Any) -> None:
    client.set_psk_client_callback(None)
    with pytest.raises(NotImplementedError, match="pre-shared keys"):
        client.set_psk_client_callback(lambda hint: ("me", b"key"))
    with pytest.raises(NotImplementedError, match="pre-shared keys"):
        client.set_psk_server_callback(lambda identity: b"key", "hint")


# --- roots ----------------------------------------------------------------------------------------------------------


def test_ways_to_give_roots(files: Files, authority: Authority, server_of: Make, client: Any, tmp_path: Path) -> None:
    (tmp_path / f"{hash_of(files['ca'])}.0").write_bytes(authority.pem)
    other = Authority.create("Other")
    ways: list[dict[str, Any]] = [
        {"cafile": files["ca"]},
        {"cafile": os.fsencode(files["ca"])},
        {"capath": tmp_path},
        {"capath": os.fsencode(tmp_path)},
        {"cadata": authority.pem.decode()},
        {"cadata": authority.der},
        {"cadata": bytearray(other.der + authority.der)},
        {"cadata": (other.pem + authority.pem).decode()},
        {"cafile": files["ca"], "cadata": other.der},
    ]
    for way in ways:
        context = ssl_module.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        assert failure(Pair(context, server_of()).shake)
        context.load_verify_locations(**way)
        shaken(context, server_of())
        # A directory's certificates are shown once they have been used.
        assert authority.der in context.get_ca_certs(binary_form=True), way
        assert context.cert_store_stats()["x509_ca"] == len(context.get_ca_certs())


@pytest.mark.parametrize("module", [ssl, ssl_module], ids=["ssl", "handfast"])
def test_a_root_that_its_own_file_rejects(module: Any, authority: Authority, server_of: Make, tmp_path: Path) -> None:
    """OpenSSL's TRUSTED CERTIFICATE can say that a root is not for servers."""
    other = Authority.create("Other")
    command = [require_peer("openssl"), "x509", "-trustout", "-addreject", "serverAuth"]
    rejected = subprocess.run(command, input=authority.pem, stdout=subprocess.PIPE, check=True).stdout
    for content in (rejected, rejected + other.pem):
        (tmp_path / "roots.pem").write_bytes(content)
        context = module.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(tmp_path / "roots.pem")
        assert failure(Pair(context, server_of()).shake)


@pytest.mark.parametrize("module", [ssl, ssl_module], ids=["ssl", "handfast"])
def test_of_a_directory_only_names_that_are_hashes_count(
    module: Any, authority: Authority, server_of: Make, tmp_path: Path
) -> None:
    """As OpenSSL looks for them; what cannot be read beside them is passed over."""
    (tmp_path / "root.pem").write_bytes(authority.pem)
    context = module.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(capath=tmp_path)
    assert failure(Pair(context, server_of()).shake)
    (tmp_path / "0a1b2c3d.0").write_bytes(b"nothing of use")
    named = hash_of(tmp_path / "root.pem")
    (tmp_path / f"{named}.0").write_bytes(authority.pem)
    context = module.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(capath=tmp_path)
    shaken(context, server_of())


@pytest.mark.parametrize("module", [ssl, ssl_module], ids=["ssl", "handfast"])
def test_of_a_directory_a_name_that_is_another_one_s_hash_does_not_count(
    module: Any, authority: Authority, server_of: Make, tmp_path: Path
) -> None:
    (tmp_path / "other.pem").write_bytes(Authority.create("somebody else").pem)
    (tmp_path / f"{hash_of(tmp_path / 'other.pem')}.0").write_bytes(authority.pem)
    context = module.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(capath=tmp_path)
    assert failure(Pair(context, server_of()).shake)


def hash_of(file: Path) -> str:
    """By which OpenSSL looks for an authority."""
    command = [require_peer("openssl"), "x509", "-noout", "-subject_hash", "-in", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_several_files_of_roots_make_one_store(client: Any, authority: Authority) -> None:
    """Contexts of the same files share it, with all that it has worked out."""
    other = Authority.create("Other")
    again = ssl_module.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context in (client, again):
        for root in (other, authority):
            context.load_verify_locations(cadata=root.der)
    assert trust.joined(client._roots) is trust.joined(again._roots)
    assert trust.joined(client._roots).roots[-2:] == (other.certificate, authority.certificate)


def test_what_one_store_distrusts_the_joined_one_does(authority: Authority) -> None:
    other = Authority.create("Other")
    joined = trust.joined((authority.trust, (authority.trust | other.trust).without(authority.der)))
    assert joined is not None
    assert joined.roots == (other.certificate,)
    assert trust.joined(()) is None


def test_the_machines_roots(monkeypatch: pytest.MonkeyPatch, files: Files, server_of: Make) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files["ca"]))
    context = ssl_module.create_default_context()
    shaken(context, server_of())
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
    assert failure(Pair(ssl_module.create_default_context(), server_of()).shake)


def test_a_bad_file_of_roots_changes_nothing(client: Any, tmp_path: Path, authority: Authority) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_bytes(authority.pem + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    with pytest.raises(ssl.SSLError):
        client.load_verify_locations(bad)
    assert not client._roots


# --- identities -----------------------------------------------------------------------------------------------------


def test_several_identities(client_of: Make, authority: Authority, tmp_path: Path) -> None:
    context = ssl_module.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("localhost", key="rsa2048").write(tmp_path, "rsa"))
    context.load_cert_chain(*authority.issue("localhost").write(tmp_path, "ec"))
    client = client_of(version="TLSv1_2")
    for kind in ("ECDSA", "RSA"):
        client.set_ciphers(f"a{kind}+AESGCM")
        assert kind in shaken(client, context).client.cipher()[0]
    context.load_cert_chain(*authority.issue("localhost").write(tmp_path, "newer"))
    assert len(context._identities) == 2  # a key of the same kind replaces the one before


@pytest.mark.parametrize("encrypted", [False, True])
def test_passwords(encrypted: bool, authority: Authority, tmp_path: Path) -> None:
    identity = authority.issue("localhost")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_bytes(identity.certificate_pem)
    key.write_bytes(key_pem(identity.key, "sesame" if encrypted else None))
    asked = itertools.count()

    def ask() -> str:
        next(asked)
        return "sesame"

    for module in MODULES.values():
        context: Any = module.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for password in ("sesame", b"sesame", bytearray(b"sesame"), ask, lambda: b"sesame"):
            context.load_cert_chain(certificate, key, password)
        with pytest.raises(TypeError):
            context.load_cert_chain(certificate, key, password=5)
        if encrypted:
            with pytest.raises(ValueError, match="cannot be longer"):
                context.load_cert_chain(certificate, key, password="a" * 2000)
            for wrong in ("open", lambda: "open"):
                with pytest.raises(ssl.SSLError):
                    context.load_cert_chain(certificate, key, wrong)
            with pytest.raises(TypeError):
                context.load_cert_chain(certificate, key, lambda: 5)
            with pytest.raises(ZeroDivisionError):
                context.load_cert_chain(certificate, key, lambda: 1 // 0)
    assert next(asked) == (2 if encrypted else 0)


def test_an_encrypted_key_without_password(authority: Authority, tmp_path: Path) -> None:
    """OpenSSL would ask at the terminal."""
    identity = authority.issue("localhost")
    both = tmp_path / "both.pem"
    both.write_bytes(identity.certificate_pem + key_pem(identity.key, "sesame"))
    context = ssl_module.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ssl.SSLError, match="no password was given"):
        context.load_cert_chain(both)
    context.load_cert_chain(both, password="sesame")


def test_a_key_of_another_certificate(files: Files) -> None:
    context = ssl_module.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ssl.SSLError) as caught:
        context.load_cert_chain(files["server"], files["other_key"])
    assert (caught.value.library, caught.value.reason) == ("X509", "KEY_VALUES_MISMATCH")
    assert "The private key does not belong to the certificate." in str(caught.value)
    assert str(files["other_key"]) in str(caught.value)


def test_keys_from_memory(client_of: Make, authority: Authority) -> None:
    context = ssl_module.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.handfast = ServerConfig(identities=[authority.issue("localhost", key="ed25519")])
    assert shaken(client_of(), context).client.getpeercert()


# --- the server name -------------------------------------------------------------------------------------------------


def test_the_callback_may_change_the_context(client_of: Make, server_of: Make) -> None:
    front, other = server_of(alpn=("h2",)), server_of(name="other", alpn=("http/1.1",))
    seen: list[Any] = []

    def choose(side: Any, name: str | None, context: Any) -> None:
        seen.append((side, name, context))
        if name == "other.test":
            side.context = other

    front.sni_callback = choose
    client = client_of(alpn=("h2", "http/1.1"))
    pair = shaken(client, front, "other.test")
    assert seen == [(pair.server, "other.test", front)]
    assert pair.server.context is other
    assert pair.server.selected_alpn_protocol() == "http/1.1"
    assert shaken(client, front).server.context is front
    client.check_hostname = False
    shaken(client, front, None)
    assert seen[-1][1] is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ssl.ALERT_DESCRIPTION_ACCESS_DENIED, "TLSV1_ALERT_ACCESS_DENIED"),
        (112, "TLSV1_UNRECOGNIZED_NAME"),
        (250, "SSLV3_ALERT_HANDSHAKE_FAILURE"),
    ],
)
def test_the_callback_may_refuse(answer: int, reason: str, client_of: Make, server_of: Make) -> None:
    server = server_of()
    server.set_servername_callback(lambda *_: answer)
    pair = Pair(client_of(ssl), server)
    assert failure(pair.shake)
    assert failure(pair.client.do_handshake).reason == reason  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("callback", "kind", "reason"),
    [
        (lambda *_: 1 // 0, ZeroDivisionError, "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        (lambda *_: "no", TypeError, "TLSV1_ALERT_INTERNAL_ERROR"),
    ],
)
def test_a_broken_callback_is_reported(
    callback: Any, kind: type, reason: str, client_of: Make, server_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda told: reported.append(told.exc_type))
    server = server_of()
    server.sni_callback = callback
    pair = Pair(client_of(), server)
    assert failure(pair.shake)
    assert failure(pair.client.do_handshake).reason == reason  # type: ignore[attr-defined]
    assert reported == [kind]


def test_a_context_of_openssl_cannot_take_over(server_of: Make) -> None:
    side = server_of().wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    with pytest.raises(TypeError, match="not OpenSSL's"):
        side.context = server_of(ssl)
    with pytest.raises(TypeError):
        side.context = 5


# --- looking --------------------------------------------------------------------------------------------------------


def test_the_key_log(client_of: Make, server_of: Make, tmp_path: Path) -> None:
    for name, context in (("client", client_of()), ("server", server_of())):
        path = tmp_path / name
        context.keylog_filename = path
        assert context.keylog_filename == path
        pair = (context, server_of()) if name == "client" else (client_of(), context)
        shaken(*pair)
        lines = path.read_text().splitlines()
        assert len([line for line in lines if line.startswith("#")]) == 1
        assert {line.split()[0] for line in lines[1:]} >= {"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"}
        context.keylog_filename = None
        shaken(*pair)
        assert path.read_text().splitlines() == lines
        with pytest.raises(IsADirectoryError):
            context.keylog_filename = tmp_path


def test_handshakes_are_counted(client_of: Make, server_of: Make) -> None:
    client, server = client_of(), server_of()
    shaken(client, server)
    failure(Pair(client, server_of(name="other")).shake)
    assert {name: number for name, number in client.session_stats().items() if number} == {
        "connect": 2,
        "connect_good": 1,
    }
    assert {name: number for name, number in server.session_stats().items() if number} == {
        "accept": 1,
        "accept_good": 1,
    }


def test_suites_in_force_are_those_that_are_shown(server_of: Make) -> None:
    context = server_of()
    assert [cipher["id"] & 0xFFFF for cipher in context.get_ciphers()] == list(context._suites_in_force())
    assert CipherSuite.TLS_AES_128_GCM_SHA256 in context._suites_in_force()


def test_pem_and_der(authority: Authority) -> None:
    text = ssl_module.DER_cert_to_PEM_cert(authority.der)
    assert ssl_module.PEM_cert_to_DER_cert(text) == authority.der
    assert pem.certificates(text.encode()) == [authority.der]


class _Seen:
    """A tap that keeps the names of messages."""

    def __init__(self, side: Any) -> None:
        self.side = side
        self.messages: list[tuple[bool, str]] = []
        self.records = 0

    def record(self, sent: bool, content_type: int, length: int, encrypted: bool) -> None:
        self.records += 1

    def message(self, sent: bool, message: Any, encrypted: bool) -> None:
        self.messages.append((sent, message.NAME))


def test_taps(client_of: Make, server_of: Make) -> None:
    taps: list[_Seen] = []

    def make(side: Any) -> _Seen:
        taps.append(_Seen(side))
        return taps[-1]

    client = client_of()
    client.handfast_tap = make
    told: list[tuple[Any, ...]] = []
    pair = shaken(client, server_of())
    client._msg_callback = lambda *seen: told.append(seen)
    other = shaken(client, server_of(version="TLSv1_2"))
    assert [tap.side for tap in taps] == [pair.client, other.client]
    assert taps[0].messages[:2] == [(True, "ClientHello"), (False, "ServerHello")]
    assert len([seen for seen in told if seen[3] == 0x100]) == taps[1].records
    assert (other.client, "read", ssl.TLSVersion.TLSv1_2, 22, 12) in {seen[:5] for seen in told}  # ServerKeyExchange
    assert (other.client, "write", ssl.TLSVersion.TLSv1_2, 20, 0x101, b"\x01") in told
    assert all(isinstance(seen[5], bytes) for seen in told)
    with pytest.raises(TypeError):
        client.handfast_tap = 5
    assert client.handfast_tap is make


def test_a_message_callback_that_raises_breaks_nothing(
    client_of: Make, server_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda told: reported.append(told.exc_type))
    client = client_of()
    client._msg_callback = lambda *seen: 1 // 0
    shaken(client, server_of())
    assert set(reported) == {ZeroDivisionError}


def test_intermediates_among_the_roots_are_sent(authority: Authority, client_of: Make, tmp_path: Path) -> None:
    """Whoever loads a certificate alone, and its issuers as roots, leans on that with ``ssl``."""
    first = authority.intermediate("First")
    second = first.intermediate("Second")
    leaf, key = second.issue("localhost", send_chain=False).write(tmp_path)
    for module in MODULES.values():
        server: Any = module.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(leaf, key)
        assert failure(Pair(client_of(), server).shake)
        server.load_verify_locations(cadata=first.chain[0] + second.chain[0] + authority.der)
        chain = shaken(client_of(), server).client.get_unverified_chain()
        assert chain[1:3] == [second.chain[0], first.chain[0]]

"""Both sides in memory, in TLS 1.2: suites, groups, keys, client certificates; and how the two versions meet."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from handfast import AlertReceived, ApplicationData, PeerClosed, reasons
from handfast.crypto.groups import CLASSICAL_HALF, GROUPS
from handfast.crypto.suites import SUITES_12
from handfast.errors import PeerIncompatible
from handfast.testing import pair, pump
from handfast.wire.codepoints import NamedGroup
from tests.handshake.covering import Case, every_pair
from tests.handshake.parties import (
    KEYS,
    Recorder,
    client_config,
    client_identity,
    fails,
    identity,
    server_config,
    started,
)

GROUPS_12 = tuple(NamedGroup.name(group) for group in GROUPS if group not in CLASSICAL_HALF)
CURVES = {"p256": "secp256r1", "p384": "secp384r1", "p521": "secp521r1"}
SERVER_KEYS = {
    "ECDSA": ("p256", "p384", "p521", "ed25519", "ed448"),
    "RSA": ("rsa2048", "rsapss2048", "rsapss2048-sha256", "rsapss2048-sha384", "rsapss2048-sha512"),
}
SUITES_OF = {kind: tuple(suite.name for suite in SUITES_12.values() if suite.signed_by == kind) for kind in SERVER_KEYS}
ONLY_12: dict[str, Any] = {"max_version": "1.2"}
# Who of the two would have spoken TLS 1.3.
VERSIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "neither": (ONLY_12, ONLY_12),
    "the client": ({}, ONLY_12),
    "the server": (ONLY_12, {}),
}
SHARED = {
    "group": GROUPS_12,
    "versions": tuple(VERSIONS),
    "client": ("not asked", "optional, given", "optional, not given", "required, given", "required, missing"),
    "client_key": ("p256", "p521", "rsa2048", "rsapss2048", "ed25519", "ed448"),
    "sizes": ("none", "client", "server", "both"),
}
CASES = [
    case
    for kind in SERVER_KEYS
    for case in every_pair({"suite": SUITES_OF[kind], "server_key": SERVER_KEYS[kind], **SHARED})
]
LIMIT = {"record_size_limit": 200}


def settings_of(case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of client and server."""
    suites = [case["suite"], "TLS_AES_128_GCM_SHA256"]
    client, server = ({**settings, "cipher_suites": suites} for settings in VERSIONS[case["versions"]])
    curve = CURVES.get(case["server_key"])
    # The list of groups is also that of the curves that certificates may have.
    client["groups"] = list(dict.fromkeys([case["group"], curve or case["group"]]))
    server["groups"] = [case["group"]]
    server["identities"] = [identity(case["server_key"])]
    if case["sizes"] in ("client", "both"):
        client |= LIMIT
    if case["sizes"] in ("server", "both"):
        server |= LIMIT
    asked, _, done = case["client"].partition(", ")
    if asked != "not asked":
        server["client_authentication"] = asked
    if done == "given":
        client["identities"] = [client_identity(case["client_key"])]
    return client, server


@pytest.mark.parametrize("case", CASES, ids=["/".join(case.values()).replace(" ", "_") for case in CASES])
def test_the_matrix(case: Case) -> None:
    """A handshake, and data both ways; or the refusal that is due."""
    client, server = started(*settings_of(case))
    if case["client"] == "required, missing":
        with fails(PeerIncompatible, reasons.CERTIFICATE_REQUIRED_12):
            pump(client, server)
        with fails(AlertReceived, reasons.ALERT_RECEIVED) as told:
            client.next_event()
        assert told.value.name == "handshake_failure"  # certificate_required is TLS 1.3's
        return
    pump(client, server)
    check_facts(case, client.handshake, server.handshake)
    for kind in ("tls-unique", "tls-exporter", "tls-server-end-point"):
        assert client.channel_binding(kind) == server.channel_binding(kind)

    data = bytes(range(256)) * 3
    for _ in range(2):
        client.send(data)
        server.send(data[::-1])
        at_client, at_server = pump(client, server)
        assert b"".join(event.data for event in at_client if isinstance(event, ApplicationData)) == data[::-1]
        assert b"".join(event.data for event in at_server if isinstance(event, ApplicationData)) == data
    client.close()
    server.close()
    assert pump(client, server) == ([PeerClosed()], [PeerClosed()])


def check_facts(case: Case, at_client: Any, at_server: Any) -> None:
    """What both sides say that they agreed on."""
    given = case["client"].endswith(", given")
    for facts in (at_client, at_server):
        assert facts.version == "TLSv1.2"
        assert facts.cipher_suite == case["suite"]
        assert facts.group == case["group"]
        assert facts.signature_scheme == KEYS[case["server_key"]]
        assert facts.client_signature_scheme == (KEYS[case["client_key"]] if given else None)
        assert facts.server_name == "localhost"
        assert (facts.hello_retry_request, facts.resumed) == (False, False)
    assert at_client.peer.chain == identity(case["server_key"]).chain
    ours = client_identity(case["client_key"]) if given else None
    assert at_client.identity is ours
    assert (at_server.peer and at_server.peer.chain) == (ours and ours.chain)


def test_the_selection_is_small() -> None:
    assert {case["suite"] for case in CASES} == {suite.name for suite in SUITES_12.values()}
    assert len(CASES) < 160


@pytest.mark.parametrize("kind", SERVER_KEYS)
@pytest.mark.parametrize("asked", ["none", "required"])
def test_every_suite_with_every_group(kind: str, asked: str) -> None:
    """What shapes the secrets, in full."""
    key = "p256" if kind == "ECDSA" else "rsa2048"
    for suite, group in product(SUITES_OF[kind], GROUPS_12):
        client, server = pair(
            client_config(cipher_suites=[suite], groups=[group, "secp256r1"], identities=[client_identity("p256")]),
            server_config(key, cipher_suites=[suite], groups=[group], client_authentication=asked),
        )
        assert client.handshake is not None
        assert (client.handshake.cipher_suite, client.handshake.group) == (suite, group)
        assert client.export_keying_material("EXPERIMENTAL x", 32) == server.export_keying_material(
            "EXPERIMENTAL x", 32
        )


@pytest.mark.parametrize("scheme", ["rsa_pkcs1_sha256", "rsa_pkcs1_sha384", "rsa_pkcs1_sha512", "rsa_pss_rsae_sha512"])
def test_rsa_signs_with_what_the_other_side_takes(scheme: str) -> None:
    client, server = pair(
        client_config(**ONLY_12, signature_schemes=[scheme], identities=[client_identity("rsa2048")]),
        server_config("rsa2048", signature_schemes=[scheme], client_authentication="required"),
    )
    for facts in (client.handshake, server.handshake):
        assert facts is not None
        assert facts.signature_scheme == facts.client_signature_scheme == scheme


@pytest.mark.parametrize(("key", "scheme"), [("p256", "ecdsa_secp384r1_sha384"), ("p384", "ecdsa_secp256r1_sha256")])
def test_in_tls_1_2_a_curve_goes_with_any_hash(key: str, scheme: str) -> None:
    client, _ = pair(client_config(**ONLY_12, signature_schemes=[scheme]), server_config(key))
    assert client.handshake is not None
    assert client.handshake.signature_scheme == scheme


def test_a_server_with_keys_of_both_kinds_takes_the_one_that_fits() -> None:
    both = [identity("rsa2048"), identity("p256")]
    for suites, key in ((SUITES_OF["RSA"], "rsa2048"), (SUITES_OF["ECDSA"], "p256")):
        client, _ = pair(
            client_config(**ONLY_12, cipher_suites=suites),
            server_config(identities=both, cipher_suites=[*SUITES_OF["RSA"], *SUITES_OF["ECDSA"]]),
        )
        assert client.handshake is not None
        assert client.handshake.peer is not None
        assert client.handshake.peer.chain == identity(key).chain


# --- how the two versions meet -------------------------------------------------------------------------------------

RANGES: dict[str, dict[str, Any]] = {
    "1.2": {"max_version": "1.2"},
    "1.3": {"min_version": "1.3"},
    "both": {},
    "both, by name": {"min_version": "1.2", "max_version": "1.3"},
    "modern": {"profile": "modern"},
    "by its suites": {"cipher_suites": ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"]},
}
SPEAKS = {
    "1.2": {"TLSv1.2"},
    "1.3": {"TLSv1.3"},
    "both": {"TLSv1.2", "TLSv1.3"},
    "both, by name": {"TLSv1.2", "TLSv1.3"},
    "modern": {"TLSv1.3"},
    "by its suites": {"TLSv1.2"},
}


@pytest.mark.parametrize("server_range", RANGES)
@pytest.mark.parametrize("client_range", RANGES)
def test_the_highest_common_version_is_spoken(client_range: str, server_range: str) -> None:
    seen = Recorder()
    common = SPEAKS[client_range] & SPEAKS[server_range]
    client, server = client_config(**RANGES[client_range]), server_config(**RANGES[server_range])
    if not common:
        with fails(PeerIncompatible, reasons.NO_COMMON_VERSION):
            pair(client, server)
        return
    here, there = pair(client, server, client_tap=seen)
    for side in (here, there):
        assert side.handshake is not None
        assert side.handshake.version == max(common)
    [hello] = [message for sent, message, _ in seen.messages if message.NAME == "ServerHello"]
    may_both = "TLSv1.3" in SPEAKS[server_range] and max(common) == "TLSv1.2"
    assert (hello.random[-8:] == b"DOWNGRD\x01") == may_both


def test_a_client_without_a_common_version_is_told() -> None:
    client, server = started({"min_version": "1.3"}, {"max_version": "1.2"})
    with fails(PeerIncompatible, reasons.NO_COMMON_VERSION):
        pump(client, server)
    with fails(AlertReceived, reasons.VERSION_REFUSED) as told:
        client.next_event()
    assert told.value.evidence["we_offered"] == ["TLSv1.3"]

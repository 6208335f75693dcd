"""Both sides in memory: suites, groups, keys, retries and client certificates, each pair of them at least once."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import pytest

from handfast import AlertReceived, ApplicationData, PeerClosed, reasons
from handfast.errors import PeerIncompatible
from handfast.testing import pair, pump
from tests.handshake.covering import Case, every_pair
from tests.handshake.parties import (
    ALL_GROUPS,
    ALL_SUITES,
    COOKIE_KEY,
    KEYS,
    authority,
    client_config,
    client_identity,
    fails,
    identity,
    server_config,
    started,
)

SLOW_TO_MAKE = ("rsa3072", "rsa4096")
CLIENT_KEYS = ("p256", "p521", "rsa2048", "rsapss2048", "ed25519", "ed448", "mldsa65")
MATRIX = {
    "suite": ALL_SUITES,
    "group": ALL_GROUPS,
    "server_key": tuple(key for key in KEYS if key not in SLOW_TO_MAKE),
    # No retry; for a share of a group, where there are others or none; the same with a cookie; a cookie alone.
    "retry": ("none", "group", "no share", "cookie", "always"),
    # Whether the server asks, and what the client does.
    "client": ("not asked", "optional, given", "optional, not given", "required, given", "required, missing"),
    "client_key": CLIENT_KEYS,
    "compatible": ("yes", "no"),
    "sizes": ("none", "records", "padding", "both"),
}
CASES = every_pair(MATRIX)
SIZES: dict[str, dict[str, Any]] = {
    "none": {},
    "records": {"record_size_limit": 200},
    "padding": {"record_padding": 64},
    "both": {"record_size_limit": 999, "record_padding": 100},
}


def settings_of(case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of client and server."""
    group = case["group"]
    other = "x25519" if group != "x25519" else "secp256r1"
    client: dict[str, Any] = {
        "cipher_suites": [case["suite"]],
        "groups": [group],
        "middlebox_compatibility": case["compatible"] == "yes",
        **SIZES[case["sizes"]],
    }
    server: dict[str, Any] = {
        "cipher_suites": [case["suite"]],
        "groups": [group],
        "identities": [identity(case["server_key"])],
        **SIZES[case["sizes"]],
    }
    if case["retry"] in ("group", "cookie"):
        client |= {"groups": [other, group], "key_shares": [other]}
    elif case["retry"] == "no share":
        client |= {"key_shares": ()}
    if case["retry"] in ("cookie", "always"):
        server["cookie_key"] = COOKIE_KEY
    if case["retry"] == "always":
        server["retry"] = "always"
    asked, _, done = case["client"].partition(", ")
    if asked != "not asked":
        server["client_authentication"] = asked
    if done == "given":
        client["identities"] = [client_identity(case["client_key"])]
    return client, server


@pytest.mark.parametrize("case", CASES, ids=["/".join(case.values()).replace(" ", "_") for case in CASES])
def test_the_matrix(case: Case) -> None:
    check_case(case)


def check_case(case: Case) -> None:
    """A handshake, and data both ways under two generations of keys; or the refusal that is due."""
    client, server = started(*settings_of(case))
    if case["client"] == "required, missing":
        with fails(PeerIncompatible, reasons.CERTIFICATE_REQUIRED):
            pump(client, server)
        assert server.handshake is None
        with fails(AlertReceived, reasons.ALERT_RECEIVED) as told:
            client.next_event()
        assert told.value.name == "certificate_required"
        return
    pump(client, server)
    check_facts(case, client.handshake, server.handshake)
    assert client.channel_binding() == server.channel_binding()

    data = bytes(range(256)) * 3
    for _ in range(2):
        client.send(data)
        server.send(data[::-1])
        at_client, at_server = pump(client, server)
        assert b"".join(event.data for event in at_client if isinstance(event, ApplicationData)) == data[::-1]
        assert b"".join(event.data for event in at_server if isinstance(event, ApplicationData)) == data
        client.update_keys(request_peer=True)
    client.close()
    server.close()
    at_client, at_server = pump(client, server)
    assert (at_client, at_server) == ([PeerClosed()], [PeerClosed()])


def check_facts(case: Case, at_client: Any, at_server: Any) -> None:
    """What both sides say that they agreed on."""
    given = case["client"].endswith(", given")
    for facts in (at_client, at_server):
        assert facts.version == "TLSv1.3"
        assert facts.cipher_suite == case["suite"]
        assert facts.group == case["group"]
        assert facts.signature_scheme == KEYS[case["server_key"]]
        assert facts.client_signature_scheme == (KEYS[case["client_key"]] if given else None)
        assert facts.hello_retry_request == (case["retry"] != "none")
        assert facts.server_name == "localhost"
        assert facts.resumed is False
    assert at_client.peer.chain == identity(case["server_key"]).chain
    assert at_server.identity is identity(case["server_key"])
    ours = client_identity(case["client_key"]) if given else None
    assert at_client.identity is ours
    assert (at_server.peer and at_server.peer.chain) == (ours and ours.chain)


def test_the_selection_has_every_pair_and_is_small() -> None:
    for (one, here), (other, there) in combinations(MATRIX.items(), 2):
        met = {(case[one], case[other]) for case in CASES}
        assert met == set(product(here, there))
    assert len(CASES) < 250


@pytest.mark.parametrize("client_", MATRIX["client"])
@pytest.mark.parametrize("retry", MATRIX["retry"])
@pytest.mark.parametrize("suite", ALL_SUITES)
def test_every_flow_with_every_suite_and_group(suite: str, retry: str, client_: str) -> None:
    """What shapes the flow of messages, and what shapes the secrets, in full; with the quickest keys."""
    for group in ALL_GROUPS:
        case = {"suite": suite, "group": group, "retry": retry, "client": client_}
        check_case(case | {"server_key": "ed25519", "client_key": "p256", "compatible": "yes", "sizes": "none"})


@pytest.mark.parametrize("key", KEYS)
def test_every_kind_of_key_is_verified(key: str) -> None:
    client, server = pair(
        client_config(identities=[client_identity(key)] if key in CLIENT_KEYS else []),
        server_config(key, client_authentication="optional"),
    )
    assert client.handshake is not None
    peer = client.handshake.peer
    assert peer is not None
    assert peer.verified_by == "chain"
    assert peer.server_name == "localhost"
    assert peer.path[0] == identity(key).chain[0]
    assert server.handshake is not None
    if key in CLIENT_KEYS:
        assert server.handshake.peer is not None
        assert server.handshake.peer.verified_by == "chain"
        assert server.handshake.peer.uris == ("spiffe://test/client",)
    else:
        assert server.handshake.peer is None


@pytest.mark.parametrize("scheme", ["rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha512"])
def test_rsa_signs_with_what_the_other_side_takes(scheme: str) -> None:
    client, server = pair(
        client_config(signature_schemes=[scheme], identities=[client_identity("rsa2048")]),
        server_config("rsa2048", signature_schemes=[scheme], client_authentication="required"),
    )
    for facts in (client.handshake, server.handshake):
        assert facts is not None
        assert facts.signature_scheme == facts.client_signature_scheme == scheme


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "[::1]", "LocalHost."])
def test_names_that_a_user_may_write(name: str) -> None:
    client, server = pair(client_config(), server_config(), server_name=name)
    assert client.handshake is not None
    assert server.handshake is not None
    sent = "localhost" if name[0] in "lL" else None  # an address is no name (RFC 6066 section 3)
    assert server.handshake.server_name == sent
    assert client.handshake.server_name == (sent or name.strip("[]"))


def test_chains_with_an_intermediate_on_both_sides() -> None:
    below = authority().intermediate()
    server_, client_ = below.issue("localhost"), below.issue("client.example", usage=("client",))
    client, server = pair(
        client_config(identities=[client_]),
        server_config(identities=[server_], client_authentication="required"),
    )
    for who, facts in ((server_, client.handshake), (client_, server.handshake)):
        assert len(who.chain) == 2
        assert facts is not None
        assert facts.peer is not None
        assert len(facts.peer.path) == 3


def test_data_of_many_records_both_ways() -> None:
    client, server = pair(client_config(), server_config())
    data = bytes(range(256)) * 1000
    client.send(data)
    server.send(memoryview(data))
    client.send(b"")
    at_client, at_server = pump(client, server)
    for events in (at_client, at_server):
        assert b"".join(event.data for event in events if isinstance(event, ApplicationData)) == data
        assert [len(event.data) for event in events if isinstance(event, ApplicationData)][:-1] == [1 << 14] * 15

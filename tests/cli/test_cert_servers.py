"""`handfast cert` of servers: what they send, and what they forget to send."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from handfast import Server, ServerConfig
from handfast.certificates import pem
from tests.aia.farm import Missing, Site, answer, lacking, site
from tests.cli.running import SCHEMAS, called, lines_of, listening
from tests.cli.world import World, document, echo, verified

# --- servers ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def port(world: World) -> Iterator[int]:
    with Server(echo, config=ServerConfig(identities=[world.good])) as server:
        yield server.address[1]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_the_chain_of_a_server(world: World, port: int, version: str) -> None:
    found = document(called("cert", "show", f"localhost:{port}", "--json", "--tls", version))
    assert found["source"] == {
        "kind": "host", "name": f"localhost:{port}", "version": f"TLSv{version}", "cut": False, "handshake_error": None
    }  # fmt: skip
    assert [item["found"] for item in found["certificates"]] == [{"where": "sent", "number": n} for n in (1, 2)]
    right = verified(f"localhost:{port}", "--ca", world / "ca.pem", "--tls", version, "--name", "example.com")
    assert right["verified"]["accepted"]
    wrong = verified(f"localhost:{port}", "--ca", world / "ca.pem", "--tls", version)
    assert (wrong["verified"]["name"], wrong["error"]["reason"]) == ("localhost", "certificate_name_mismatch")


def test_a_server_that_wants_to_know_who_we_are_shows_its_chain_all_the_same(world: World) -> None:
    config = ServerConfig(identities=[world.good], client_authentication="required", client_trust=world.root.trust)
    with Server(echo, config=config) as server:
        for version in ("1.2", "1.3"):
            run = called("cert", "show", f"localhost:{server.address[1]}", "--tls", version, "--json")
            assert run.returncode == 0
            assert len(document(run)["certificates"]) == 2


def test_no_server(world: World) -> None:
    with listening(lambda peer: peer.close()) as port:
        pass
    run = called("cert", "verify", f"127.0.0.1:{port}")
    assert run.returncode == 3
    assert lines_of(run)[0] == "handfast: No connection could be made."
    gone = called("cert", "show", "no-such-host.invalid", "--json")
    assert gone.returncode == 3
    assert document(gone)["source"] is None


def test_a_server_that_speaks_no_tls() -> None:
    with listening(lambda peer: peer.sendall(b"220 mail.example ESMTP\r\n")) as port:
        run = called("cert", "show", f"127.0.0.1:{port}")
    assert run.returncode == 1
    assert "--starttls smtp" in " ".join(run.stderr.decode().split())


def test_starttls(world: World) -> None:
    def smtp(peer: Any) -> None:
        from handfast.transport.blocking import wrap

        peer.sendall(b"220 mail.example ESMTP\r\n")
        peer.recv(100)
        peer.sendall(b"250-mail.example\r\n250 STARTTLS\r\n")
        peer.recv(100)
        peer.sendall(b"220 go ahead\r\n")
        with wrap(peer, ServerConfig(identities=[world.good])) as tls:
            tls.recv()

    with listening(smtp) as port:
        found = document(called("cert", "show", f"127.0.0.1:{port}", "--starttls", "smtp", "--json"))
    assert len(found["certificates"]) == 2


# --- AIA ----------------------------------------------------------------------------------------------------------------

LOOPBACK = ("--aia", "--aia-network", "127.0.0.0/8")


@pytest.fixture
def here() -> Iterator[Site]:
    with site() as found:
        yield found


@pytest.fixture
def missing(here: Site, tmp_path: Path) -> Missing:
    found = lacking(here.url("/one.der"), above=(here.url("/two.der"),))
    here.talks.update({"/one": answer(found.missing[0]), "/two": answer(found.missing[1])})
    (tmp_path / "ca.pem").write_bytes(found.root.pem)
    (tmp_path / "leaf.pem").write_bytes(pem.certificate(found.chain[0]))
    return found


def test_missing_certificates_are_fetched_and_said_to_be(missing: Missing, here: Site, tmp_path: Path) -> None:
    common = (tmp_path / "leaf.pem", "--ca", tmp_path / "ca.pem", "--name", "localhost")
    found = verified(*common, *LOOPBACK)
    assert found["verified"]["accepted"]
    assert [item["found"]["where"] for item in found["certificates"]] == ["file", "aia", "aia", "store"]
    assert [item["url"] for item in found["verified"]["fetches"]] == [here.url("/one.der"), here.url("/two.der")]
    run = called("cert", "verify", *common, *LOOPBACK)
    assert f"found       fetched from {here.url('/two.der')}" in run.stdout.decode()


def test_off_and_the_error_names_what_is_missing_and_where_it_is(missing: Missing, here: Site, tmp_path: Path) -> None:
    run = called("cert", "verify", tmp_path / "leaf.pem", "--ca", tmp_path / "ca.pem")
    text = run.stdout.decode()
    assert run.returncode == 1
    assert here.requests == []
    assert text.splitlines()[2] == "? CN=intermediate 1,O=handfast testing"
    assert f"is said at  {here.url('/one.der')}" in text
    told = " ".join(run.stderr.decode().split())
    for piece in (
        "not sent CN=intermediate 1",
        "its key identifier",
        f"issuer can be fetched from {here.url('/one.der')}",
    ):
        assert piece in told
    assert "--aia fetches what is missing from there" in told


def test_an_inner_network_has_to_be_allowed(missing: Missing, here: Site, tmp_path: Path) -> None:
    run = called("cert", "verify", tmp_path / "leaf.pem", "--ca", tmp_path / "ca.pem", "--aia")
    assert run.returncode == 1
    assert here.requests == []
    assert "allow it: --aia-network 127.0.0.1" in " ".join(run.stderr.decode().split())


def test_connect_fetches_what_the_server_forgot(missing: Missing, here: Site, tmp_path: Path) -> None:
    schema = json.loads((SCHEMAS / "connect.json").read_text())
    with Server(echo, config=ServerConfig(identities=[missing.identity])) as server:
        common = ("connect", f"localhost:{server.address[1]}", "--ca", tmp_path / "ca.pem")
        run = called(*common, *LOOPBACK)
        as_json = called(*common, *LOOPBACK, "--json")
        without = called(*common, "--json")
    assert (run.returncode, run.stderr) == (0, b"")
    assert f"the server forgot it: fetched from {here.url('/one.der')}" in " ".join(run.stdout.decode().split())
    found = json.loads(as_json.stdout)
    jsonschema.validate(found, schema)
    assert [item["found"] for item in found["fetches"]] == [1, 1]
    refused = json.loads(without.stdout)
    jsonschema.validate(refused, schema)
    assert (refused["fetches"], refused["error"]["reason"]) == (None, "missing_intermediate")


@pytest.mark.parametrize("options", [["--aia", "--no-verify"], ["--aia-network", "10.0.0.0/8"]])
def test_options_of_connect_that_mean_nothing(options: list[str]) -> None:
    run = called("connect", "localhost", *options)
    assert run.returncode == 2
    assert "means nothing with" in lines_of(run)[0]


def test_a_fetch_that_drips_ends_and_says_so(here: Site, tmp_path: Path) -> None:
    stop = threading.Event()

    def drips(peer: Any, _: bytes) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
        while not stop.wait(0.05):
            peer.sendall(b"0")

    here.talks["/issuer"] = drips
    found = lacking(here.url())
    (tmp_path / "ca.pem").write_bytes(found.root.pem)
    (tmp_path / "leaf.pem").write_bytes(pem.certificate(found.chain[0]))
    try:
        got = verified(tmp_path / "leaf.pem", "--ca", tmp_path / "ca.pem", *LOOPBACK)
    finally:
        stop.set()
    assert got["verified"]["fetches"][0]["error"]["reason"] == "fetch_timeout"

"""`handfast cert verify`: the verdict of each check and of each trust store."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from handfast.authority import AuthorityFolder
from handfast.certificates import pem
from handfast.cli.hints import hints
from handfast.errors import UnknownIssuer
from handfast.testing import Authority, chain
from tests.aia.farm import NOW
from tests.cli.running import called, lines_of, serving
from tests.cli.world import World, document, verified


def test_a_good_chain_with_the_verdict_of_each_check(world: World) -> None:
    run = called(
        "cert", "verify", world / "good.pem", "--ca", world / "ca.pem", "--name", "example.com",
        environment={"COLUMNS": "80"},
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, b"")
    text = run.stdout.decode()
    path = str(world / "")
    assert [line for line in text.splitlines() if len(line) > 80 and path not in line] == []
    for piece in (
        "CN=Example Root,O=handfast testing",
        "└── CN=Example Intermediate,O=handfast testing",
        "    └── CN=good,O=handfast testing",
        "trusted: in",
        "2 of 2",
        "✓ dates",
        "✓ name        the certificate is for example.com",
        "✓ rules",
        "✓ --ca",
        "✗ system",
        "accepted: the chain is that of example.com, until",
    ):
        assert piece in text


def test_json_tells_path_checks_and_stores(world: World) -> None:
    found = verified(world / "good.pem", "--ca", world / "ca.pem", "--name", "example.com")
    verdict = found["verified"]
    assert (verdict["accepted"], verdict["name"], verdict["purpose"]) == (True, "example.com", "server")
    assert verdict["path"] == [0, 1, 2]
    assert [item["found"]["where"] for item in found["certificates"]] == ["file", "file", "store"]
    assert {item["check"]: item["passed"] for item in verdict["checks"]} == dict.fromkeys(
        ("dates", "name", "usage", "root", "signatures", "strength", "leaks", "rules"), True
    )
    assert (verdict["trust"][0]["store"], verdict["trust"][0]["accepted"]) == ("--ca", True)
    assert verdict["trust"][0]["root"] == "CN=Example Root,O=handfast testing"
    assert not any(item["accepted"] for item in verdict["trust"][1:])


def test_each_check_that_fails_is_told_and_the_exit_code_is_1(world: World) -> None:
    run = called("cert", "verify", world / "expired.pem", "--ca", world / "ca.pem", "--name", "other.example")
    assert run.returncode == 1
    text = run.stdout.decode()
    assert "✗ dates       A certificate has expired. (certificate 1 of 2: expired for 3 days)" in " ".join(
        text.split("\n")
    )
    assert "✗ name" in text
    assert "✓ root" in text
    assert text.rstrip().endswith("refused")
    assert lines_of(run)[0] == "handfast: A certificate has expired."
    assert "broken off" not in run.stderr.decode()
    ended = NOW - timedelta(days=3)
    assert f"not after {ended:%Y-%m-%d %H:%M} UTC" in " ".join(run.stderr.decode().split())
    found = verified(world / "expired.pem", "--ca", world / "ca.pem", "--name", "other.example")
    assert found["error"]["evidence"]["not_after"] == f"{ended:%Y-%m-%dT%H:%M:%S+00:00}"  # for programs
    failed = {item["check"]: item["error"]["reason"] for item in found["verified"]["checks"] if not item["passed"]}
    assert failed == {"dates": "certificate_expired", "name": "certificate_name_mismatch"}
    assert found["error"]["reason"] == "certificate_expired"
    assert found["certificates"][0]["days_left"] < 0


def test_at_another_time(world: World) -> None:
    then = f"{NOW - timedelta(days=10):%Y-%m-%d}"
    common = ("--ca", world / "ca.pem", "--name", "example.com", "--at")
    # Authority and leaf begin at their own times: ten days ago the leaf was valid, and its authority not yet there.
    early = verified(world / "expired.pem", *common, then)
    assert early["error"]["reason"] == "certificate_not_yet_valid"
    late = verified(world / "good.pem", *common, "2100-01-01T12:00+02:00")
    assert (late["error"]["reason"], late["verified"]["at"]) == ("certificate_expired", "2100-01-01T10:00:00+00:00")
    for found in (early, late, verified(world / "good.pem", *common, "2019-12-31")):  # which is before this program
        assert not {"clock", "now"} & found["error"]["evidence"].keys()
        assert found["error"]["evidence"]["at"] == found["verified"]["at"]
        assert "--at" in found["error"]["hints"][0]
        assert "clock" not in json.dumps(found)  # of each check and each trust store
    assert verified(world / "good.pem", *common, "+36h")["verified"]["accepted"]
    assert verified(world / "good.pem", *common, "+1y")["error"]["reason"] == "certificate_expired"
    tomorrow = f"{NOW + timedelta(days=1):%Y-%m-%dT%H:%M}"
    assert verified(world / "good.pem", *common, tomorrow)["verified"]["accepted"]


def test_without_a_name_none_is_compared(world: World) -> None:
    found = verified(world / "good.pem", "--ca", world / "ca.pem")["verified"]
    assert (found["accepted"], found["name"]) == (True, None)
    assert [item["passed"] for item in found["checks"] if item["check"] == "name"] == [None]


def test_the_certificate_of_a_client_is_not_told_to_be_issued_anew(world: World) -> None:
    error = verified(world / "client.pem", "--ca", world / "ca.pem")["error"]
    assert error["reason"] == "certificate_wrong_usage"
    assert error["evidence"]["verified_for"] == "server"
    assert error["hints"] == ["If it is a client's certificate, verify it as one: --purpose client."]
    other = verified(world / "good.pem", "--ca", world / "ca.pem", "--purpose", "client")["error"]
    assert other["hints"][0].startswith("Have it issued for this use")


@pytest.mark.parametrize("name", ["unknown_root_sent", "self_signed"])
def test_a_root_that_is_not_trusted_breaks_no_rule_by_being_one(tmp_path: Path, name: str) -> None:
    case = chain(name)  # a root needs no authorityKeyIdentifier: it is its own issuer
    (tmp_path / "chain.pem").write_bytes(b"".join(map(pem.certificate, case.chain)))
    Authority.create("another one").write(tmp_path)
    found = verified(tmp_path / "chain.pem", "--ca", tmp_path / "ca.pem", "--name", case.server_name)
    assert [item["check"] for item in found["verified"]["checks"] if item["passed"] is False] == ["root"]


def test_a_file_with_more_than_a_chain_is_no_chain(world: World) -> None:
    many = (world / "good.pem").read_bytes() * 9
    run = called("cert", "verify", "-", "--ca", world / "ca.pem", stdin=many)
    assert (run.returncode, run.stdout) == (2, b"")
    words = "handfast: FILE: has 18 certificates, and a chain 16 at most: handfast cert show draws all"
    assert " ".join(lines_of(run)) == f"{words}   file  standard input"
    found = document(called("cert", "verify", "-", "--ca", world / "ca.pem", "--json", stdin=many))
    assert (found["verified"], len(found["certificates"])) == (None, 18)
    assert called("cert", "verify", "-", "--ca", world / "ca.pem", stdin=many[: len(many) * 8 // 9]).returncode == 0


def test_purposes(world: World) -> None:
    client = verified(world / "client.pem", "--ca", world / "ca.pem", "--purpose", "client")
    assert client["verified"]["purpose"] == "client"
    assert verified(world / "client.pem", "--ca", world / "ca.pem")["error"]["reason"] == "certificate_wrong_usage"
    other = verified(world / "good.pem", "--ca", world / "ca.pem", "--purpose", "client")
    assert other["error"]["reason"] == "certificate_wrong_usage"


def test_a_rule_can_be_relaxed_by_the_name_that_the_error_gives_it(world: World, tmp_path: Path) -> None:
    odd = Authority.create(extensions={x509.KeyUsage: None})
    made = odd.issue("example.com").write(tmp_path)[0]
    ca = odd.write(tmp_path)
    refused = verified(made, "--ca", ca, "--name", "example.com")
    rule = refused["error"]["evidence"]["relax"]
    assert rule == "missing-key-usage"
    assert verified(made, "--ca", ca, "--name", "example.com", "--relax", rule)["verified"]["accepted"]


def test_what_is_surplus_is_told(world: World, tmp_path: Path) -> None:
    stray = Authority.create("a stray").intermediate("the stray")
    chain = (*world.good.chain, world.root.der, stray.der)
    (tmp_path / "long.pem").write_bytes(b"".join(map(pem.certificate, chain)))
    run = called("cert", "verify", tmp_path / "long.pem", "--ca", world / "ca.pem", environment={"COLUMNS": "200"})
    text = run.stdout.decode()
    assert "not needed: certificate 3 (CN=Example Root,O=handfast testing) is a root" in text
    assert "not needed: certificate 4 (CN=the stray,O=handfast testing) is not part of the path" in text


def test_in_any_order_the_owner_s_certificate_is_found(world: World) -> None:
    turned = b"".join(map(pem.certificate, reversed(world.good.chain)))
    found = verified("-", "--ca", world / "ca.pem", "--name", "example.com", stdin=turned)
    assert found["certificates"][0]["subject"].startswith("CN=good")


@pytest.mark.parametrize(
    ("options", "begin"),
    [
        (["--purpose", "both"], "--purpose: "),
        (["--at", "tomorrow"], "--at: "),
        (["--at", "+14"], "--at: "),
        (["--at", "+14weeks"], "--at: "),
        (["--at", "+999999y"], "--at: "),
        (["--aia-network", "10.0.0.0/8"], "--aia-network: "),
        (["--aia", "--aia-network", "10.0.0.0/99"], "--aia-network: "),
        (["--purpose", "client", "--name", "example.com"], "--name: "),
        (["--relax", "everything"], "--relax: no rule is called everything"),
        (["--name", "not a name"], "the name of the server: "),
        (["--name", ""], "--name: a value is needed"),
        (["--timeout", "0"], "--timeout: "),
        (["--ca", "/nowhere/ca.pem"], "A file cannot be read."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_make_no_sense(world: World, options: list[str], begin: str) -> None:
    run = called("cert", "verify", world / "good.pem", *options)
    assert (run.returncode, run.stdout) == (2, b"")
    assert lines_of(run)[0].startswith(f"handfast: {begin}")
    as_json = called("cert", "verify", world / "good.pem", *options, "--json")
    assert as_json.returncode == 2
    assert document(as_json)["error"]["type"] == "ConfigurationError"


def test_where_one_certificate_is_all_there_is_an_intermediate_may_be_missing(world: World, tmp_path: Path) -> None:
    """Who has given the root already is not helped by hearing of it again."""
    leaf = tmp_path / "leaf.pem"
    leaf.write_bytes(pem.certificate(world.good.chain[0]))
    run = called("cert", "verify", leaf, "--ca", world / "ca.pem")
    assert f"it is not in {leaf}" in " ".join(run.stdout.decode().replace("│", " ").split())
    elsewhere = AuthorityFolder.create(tmp_path / "elsewhere", "of another organisation").path / "root.pem"
    likely = "An intermediate is likely to be missing"
    told = called("cert", "verify", leaf, "--ca", elsewhere).stderr.decode()
    assert " ".join(told.split()).index(likely) < " ".join(told.split()).index("--ca FILE")
    found = verified(leaf, "--ca", elsewhere)
    assert found["error"]["hints"][0].startswith(likely)
    by_store = {item["store"]: item["error"]["hints"][0] for item in found["verified"]["trust"]}
    assert by_store["--ca"] != by_store["system"]  # of which nobody has said that it has the root
    assert "has to send the whole chain" in " ".join(hints(UnknownIssuer(position="certificate 1 of 1")))
    assert "the whole chain" not in " ".join(hints(UnknownIssuer(position="certificate 2 of 2")))
    assert "the whole chain" not in " ".join(hints(UnknownIssuer(position="certificate 1 of 1", proxy="p.example")))


def test_roots_that_are_left_out_are_named(world: World, tmp_path: Path) -> None:
    """The one that was meant may be the one whose file is cut."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(Authority.create("another").pem + world.root.pem[:200])
    words = f"--ca: left out, {bundle}, certificate 2: {pem.CUT}"
    run = called("cert", "verify", world / "good.pem", "--ca", bundle)
    assert run.returncode == 1
    assert lines_of(run)[0] == f"handfast: {words}"
    assert "skipped" in run.stderr.decode()
    assert lines_of(called("connect", "127.0.0.1:1", "--ca", world / "ca.pem", "--ca", bundle))[0].endswith(words)
    with serving("--client-ca", bundle) as server:
        assert server.process.stderr is not None
        assert server.process.stderr.readline() == f"handfast: {words.replace('--ca', '--client-ca')}\n"
    many = tmp_path / "many.pem"
    many.write_bytes(world.root.pem + pem.certificate(b"0") * 7)
    assert (
        lines_of(called("cert", "verify", world / "good.pem", "--ca", many))[-1] == "handfast: --ca: left out, 2 more"
    )


def test_roots_may_be_the_files_of_a_folder(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "roots"
    folder.mkdir()
    empty = called("cert", "verify", world / "good.pem", "--ca", folder)
    assert (empty.returncode, str(folder) in empty.stderr.decode()) == (2, True)
    (folder / "root.pem").write_bytes(world.root.pem)
    (folder / "cut.pem").write_bytes(world.root.pem[:200])
    other = tmp_path / "other.pem"
    other.write_bytes(Authority.create("another").pem)
    for given in (["--ca", folder], ["--ca", folder, "--ca", other], ["--ca", other, "--ca", folder]):
        run = called("cert", "verify", world / "good.pem", *given)
        assert run.returncode == 0, run.stderr
        assert lines_of(run) == [f"handfast: --ca: left out, cut.pem, certificate 1: {pem.CUT}"]
    refused = called("connect", "127.0.0.1:1", "--ca", folder)
    assert "left out" in lines_of(refused)[0]
    assert refused.returncode == 3


def test_the_name_may_be_given_as_connect_has_it(world: World) -> None:
    for option, code in (("--name=example.com", 0), ("--servername=example.com", 0), ("--servername=other.example", 1)):
        assert called("cert", "verify", world / "good.pem", "--ca", world / "ca.pem", option).returncode == code

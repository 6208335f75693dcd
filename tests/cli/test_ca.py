"""`handfast ca`: from the first command to a connection, and what it refuses."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from handfast import Identity
from tests.cli.authorities import ca, document, names, openssl, refused, told
from tests.cli.running import handfast, lines_of, serving


def test_what_is_told_can_be_done(here: Path) -> None:
    """Each command that a command names runs as it stands."""
    first = told("init")
    assert "an authority in handfast-ca" in first
    assert "3,650 days left" in first
    assert "1,095 days left" in first
    assert "no passphrase protects it" in first
    following = next(line.split() for line in first.splitlines() if line.startswith("next"))
    assert following[1:] == ["handfast", "ca", "issue", "localhost"]
    second = told(*following[3:], "127.0.0.1")
    assert "for localhost, 127.0.0.1" in second
    assert "30 days left" in second
    assert b"30 days left" in handfast("cert", "show", "localhost.pem").stdout  # as everywhere
    assert stat.S_IMODE(Path("localhost.key").stat().st_mode) == 0o600
    lines = second.splitlines()
    serve = next(line.split()[3:] for line in lines if "handfast serve" in line)
    connect = next(line.split() for line in lines if "handfast connect" in line)
    assert serve == ["serve", "--cert", "localhost.pem", "--key", "localhost.key"]
    with serving(*serve[1:]) as server:
        run = handfast(connect[1], connect[2].replace("8443", str(server.port)), *connect[3:])
    assert run.returncode == 0, run.stderr
    assert b"proved to be localhost" in run.stdout


def test_clients_and_services(made: Path) -> None:
    told("issue", "--kind", "client", "alice@example.com", "--lifetime", "2h")
    text = told("issue", "spiffe://example.org/web")
    assert "24 hours left" in text
    assert "handfast serve --cert example.org-web.pem" in text
    told("issue", "localhost", "--key", "rsa2048")
    with serving("--cert", "localhost.pem", "--key", "localhost.key", "--client-ca", "handfast-ca/root.pem") as server:
        for name, shown in (
            ("alice@example.com", "alice@example.com"),
            ("example.org-web", "spiffe://example.org/web"),
        ):
            run = handfast(
                "connect", f"localhost:{server.port}", "--ca", "handfast-ca/root.pem", "--cert", f"{name}.pem", "--key",
                f"{name}.key", "--get", "/", "-q",
            )  # fmt: skip
            assert run.returncode == 0, run.stderr
            assert shown in server.line()


def test_requests(made: Path) -> None:
    openssl(
        "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "a.key", "-out", "a.csr",
        "-subj", "/CN=x", "-addext", "subjectAltName=DNS:www.example.com,DNS:*.example.com",
        "-addext", "basicConstraints=critical,CA:TRUE",
    )  # fmt: skip
    said = refused("sign", "a.csr")
    assert "asks for names that are neither named nor allowed" in said
    assert "asked for www.example.com, *.example.com" in said
    assert "(--allow)" in said
    assert "asked for *.example.com" in refused("sign", "a.csr", "--allow", "example.com")
    text = told("sign", "a.csr", "--allow", "example.com", "--drop-others")
    assert "not granted   *.example.com, basicConstraints" in text
    assert Identity.load("www.example.com.pem", "a.key").names == ("www.example.com",)
    found = document("sign", "-", "*.example.com", "www.example.com", "--name", "b", stdin=Path("a.csr").read_bytes())
    assert found["certificate"]["names"] == ["*.example.com", "www.example.com"]
    assert found["request"] == {"subject": "CN=x", "left_out": ["basicConstraints"]}
    assert (found["chain_file"], found["key_file"]) == ("b.pem", None)
    assert "is refused" in refused("sign", "b.pem", "x.example")
    assert "cannot be read" in refused("sign", "gone.csr", "x.example")


def test_list_and_revoke(made: Path) -> None:
    for name in ("a.example", "b.example"):
        told("issue", name)
    told("issue", "c.example", "--lifetime", "1m")
    lines = told("list").splitlines()
    assert lines[-1] == "4 certificates: 4 valid"
    told("issue", *(f"host{number}.example" for number in range(9)), "--lifetime", "1m")
    listed = told("list").splitlines()
    named = [line for line in listed if "host" in line]
    assert len(named) == 3
    assert all(line.index("host") == lines[-2].index("c.example") for line in named)
    assert max(map(len, listed)) <= 100
    serial = next(line.split()[0] for line in lines if line.endswith("a.example"))
    text = told("revoke", serial, "--reason", "key-compromise")
    assert "a.example" in text
    assert "key-compromise" in text
    assert "was revoked" in told("revoke", "a.example.pem")
    told("revoke", "b.example.pem")
    text = told("list")
    assert "5 certificates: 3 valid, 2 revoked" in text
    assert text.count("revoked on ") == 2
    root = "handfast-ca/root.pem"
    check = ("verify", "-CAfile", root, "-crl_check_all", "-CRLfile", "handfast-ca/crl.pem", "-untrusted")
    assert b"certificate revoked" in openssl(*check, "a.example.pem", "a.example.pem").stderr
    assert openssl(*check, "c.example.pem", "c.example.pem").returncode == 0
    found = document("list")
    assert [item["state"] for item in found["certificates"]] == ["valid", "revoked", "revoked", "valid", "valid"]
    assert found["certificates"][1]["revoked"]["why"] == "key-compromise"
    assert found["root_key_here"] is True
    assert 29.9 < document("issue", "d.example")["certificate"]["days_left"] <= 30


def test_a_revocation_that_is_on_no_list(made: Path) -> None:
    """As a run leaves it that ends in the middle; or who puts an old list back."""
    told("issue", "a.example")
    before = Path("handfast-ca/intermediate.crl").read_bytes()
    told("revoke", "a.example.pem")
    Path("handfast-ca/intermediate.crl").write_bytes(before)
    text = told("list")
    assert "1 revoked certificate not on it yet" in text
    assert "write it anew: handfast ca revoke" in text
    assert document("list")["crl_without"] == [document("list")["certificates"][1]["serial"]]
    told("revoke")
    assert "not on it" not in told("list")
    assert document("list")["crl_without"] == []


def test_lists_are_written_anew(made: Path) -> None:
    text = told("revoke", "--next-update", "1m")
    assert "the next one has to come by" in text
    assert "Who does not look" not in text
    told("revoke", "--root", "--next-update", "2y")
    found = document("revoke")
    assert found["certificate"] is None
    assert found["crl_file"] == "handfast-ca/intermediate.crl"


def test_an_authority_for_some_names_alone(here: Path) -> None:
    text = told("init", "--permit", "example.com,10.0.0.0/8", "--exclude", "secret.example.com", "--dir", "ours")
    assert "handfast ca issue example.com --dir ours" in text
    assert "example.com, 10.0.0.0/8 and nothing else" in " ".join(text.split())
    told("issue", "www.example.com", "10.1.2.3", environment={"HANDFAST_CA": "ours"})
    for name in ("www.example.org", "192.0.2.1", "x.secret.example.com"):
        assert "No certificate is issued for this name" in refused("issue", name, "--dir", "ours")
    assert document("list", "--dir", "ours")["permit"] == ["example.com", "10.0.0.0/8"]


def test_a_root_that_is_kept_elsewhere(here: Path) -> None:
    Path("pass").write_text("of the root\n")
    told("init", "--dir", "a", "--root-passphrase-file", "pass", "--name", "Example")
    Path("usb").mkdir()
    Path("a/root.key").rename("usb/root.key")
    told("issue", "a.example", "--dir", "a")
    assert "--root-key FILE" in refused("init", "--dir", "b", "--from", "a")
    assert "--passphrase-file FILE" in refused("init", "--dir", "b", "--from", "a", "--root-key", "usb/root.key")
    options = ("--from", "a", "--root-key", "usb/root.key", "--root-passphrase-file", "pass")
    text = told("init", "--dir", "b", *options)
    assert "CN=Example intermediate 2" in text
    assert "listed in" in text
    told("issue", "b.example", "--dir", "b")
    assert openssl("verify", "-CAfile", "a/root.pem", "-untrusted", "b.example.pem", "b.example.pem").returncode == 0
    second = document("list", "--dir", "a")["certificates"][-1]
    assert second["names"] == ["CN=Example intermediate 2"]
    told("revoke", second["serial"], "--dir", "a", "--root-key", "usb/root.key", "--passphrase-file", "pass")
    assert "needs --from" in refused("init", "--dir", "c", "--root-key", "usb/root.key")
    assert "of its root" in refused("init", "--dir", "c", "--permit", "a.example", *options)
    assert names(here) == {"a", "b", "usb", "pass", "a.example.pem", "a.example.key", "b.example.pem", "b.example.key"}


# --- what is wrong ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--permit", "--exclude"])
def test_an_option_of_limits_without_a_value_is_not_passed_over(here: Path, option: str) -> None:
    """`--permit "$DOMAIN"` without a DOMAIN would make an authority for everything."""
    run = ca("init", option, "")
    assert run.returncode == 2
    assert f"Invalid value for {option}: a value is needed" in run.stderr.decode()
    assert names(here) == set()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["issue", "a.example", "--dir", "gone"], "There is no certificate authority in this folder"),
        (["list", "--dir", "."], "it has no authority.json"),
        (["list", "--dir", "a-file"], "it is no folder"),
        (["init"], "There is something in this folder already"),
        (["init", "--dir", "a-file"], "it is no folder"),
        (["init", "--dir", "gone/new"], "No such file or directory"),
        (["init", "--dir", "new", "--key", "rsa1024"], "--key: no kind of key is called rsa1024 known p256"),
        (["init", "--dir", "new", "--key", "ed25519", "--permit", "a.example"], "--key: an Ed25519 authority"),
        (["init", "--dir", "new", "--permit", "10.0.0.1/8"], "--permit: 10.0.0.1/8 is neither a domain"),
        (["init", "--dir", "new", "--exclude", "a b"], "--exclude: a b is neither a domain"),
        (["init", "--dir", "new", "--lifetime", "soon"], "--lifetime: soon is no time"),
        (["init", "--dir", "new", "--root-lifetime", "200y"], "--root-lifetime: 200y is no time"),
        (["init", "--dir", "new", "--name", "x" * 60], "--name: the name of an authority"),
        (["init", "--dir", "new", "--name", ""], "--name: the name of an authority"),
        (["init", "--dir", "new", "--crl-url", "a list"], "--crl-url: a URI is of printable ASCII characters"),
        (
            ["init", "--dir", "new", "--crl-url", "http://bücher.example/a.crl"],
            "--crl-url: a URI is of printable ASCII",
        ),
        (
            ["init", "--dir", "new", "--issuer-url", "https://ca.example/a.cer"],
            "--issuer-url: it has to begin with http://",
        ),
        (["init", "--dir", "new", "--issuer-url", "ca.example/a.cer"], "--issuer-url: a URI has a scheme and a host"),
        (["init", "--dir", "new", "--from", "gone"], "There is no certificate authority in this folder"),
        (["issue", "Alice Smith"], "name Alice Smith"),
        (["issue", "a.example", "--kind", "king"], "--kind: no kind of certificate is called king"),
        (["issue", "there.example", "--kind", "king"], "--kind: no kind of certificate is called king"),
        (["issue", "a.example", "--lifetime", "1"], "--lifetime: 1 is no time"),
        (["issue", "a.example", "--name", "../a"], "--name: it is the name of a file without a folder"),
        (["issue", "a.example", "--out", "gone"], "No such file or directory"),
        (["issue", "a.example", "--p12"], "--p12: needs a password: --p12-password-file FILE"),
        (["issue", "there.example"], "A file of this name is there already"),
        (["issue", "a\x1b[31m.example"], "name a\\x1b[31m.example"),
        (["revoke", "abcd"], "This authority has issued no such certificate"),
        (["revoke", "a-file"], "This authority has issued no such certificate"),
        (["revoke", "abcd", "--reason", "spite"], "--reason: no reason is called spite known unspecified"),
        (["revoke", "abcd", "--root"], "--root: is for the list alone"),
        (["revoke", "--next-update", "never"], "--next-update: never is no time"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said_and_nothing_is_done(made: Path, arguments: list[str], words: str) -> None:
    Path("a-file").write_text("mine")
    Path("there.example.key").write_text("mine")
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    assert words in refused(*arguments)
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


def test_what_is_wrong_is_said_in_json_too(made: Path) -> None:
    found = document("issue", "Alice Smith", code=2)
    assert (found["command"], found["error"]["reason"]) == ("issue", "name_not_issued")
    assert found["error"]["evidence"]["name"] == "Alice Smith"
    assert document("init", code=2)["error"]["hints"]


def test_files_are_replaced_if_that_is_asked_for(made: Path) -> None:
    told("issue", "a.example")
    before = Path("a.example.key").read_bytes()
    told("issue", "a.example", "--force")
    assert Path("a.example.key").read_bytes() != before
    Path("out").mkdir()
    told("issue", "a.example", "--out", "out", "--name", "web")
    assert names(Path("out")) == {"web.pem", "web.key"}


def test_it_says_where_it_gave_less_than_was_asked_for(here: Path) -> None:
    told("init", "--lifetime", "2d")
    assert "shorter than was asked for" in " ".join(told("issue", "a.example").split())
    assert document("issue", "b.example", "--lifetime", "1d")["shortened"] is False
    assert "The intermediate ends soon" in told("list")


def test_a_key_that_others_may_read_is_told(made: Path) -> None:
    Path("handfast-ca/intermediate.key").chmod(0o644)
    run = ca("list")
    assert run.returncode == 0
    assert "may be used by others (mode 644): chmod 600 handfast-ca/intermediate.key" in " ".join(lines_of(run))

"""`handfast ca`, as a user runs it."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from handfast import Identity
from handfast.authority import AuthorityFolder, files
from handfast.authority.index import Index
from handfast.cli.app import app
from tests.cli.running import SCHEMAS, SECONDS, handfast, lines_of, serving
from tests.peers import require_peer


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HANDFAST_CA", raising=False)
    return tmp_path


@pytest.fixture
def made(here: Path) -> Path:
    """One with an authority in it."""
    AuthorityFolder.create("handfast-ca")
    return here


def ca(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return handfast("ca", *arguments, **options)


def told(*arguments: object, **options: Any) -> str:
    """What a command says that does what it should; only a command that is to be copied may be wider than the terminal."""
    run = ca(*arguments, **options)
    assert run.returncode == 0, run.stderr
    assert lines_of(run) == []
    text = run.stdout.decode()
    assert all(len(line) <= 100 or " handfast " in f" {line}" for line in text.splitlines())
    return text


def refused(*arguments: object, **options: Any) -> str:
    """What a command says that does nothing: on standard error alone."""
    run = ca(*arguments, **options)
    assert run.returncode == 2
    assert run.stdout == b""
    lines = lines_of(run)
    assert lines[0].startswith("handfast: ")
    return " ".join(" ".join(lines).split())


def document(*arguments: object, code: int = 0, **options: Any) -> dict[str, Any]:
    """What --json prints, held against its schema."""
    import jsonschema

    run = ca(*arguments, "--json", **options)
    assert run.returncode == code, run.stderr
    assert lines_of(run) == []
    found: dict[str, Any] = json.loads(run.stdout)
    schema = json.loads((SCHEMAS / "ca.json").read_text())
    jsonschema.validate(found, schema, format_checker=jsonschema.FormatChecker())
    return found


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def openssl(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    command = [require_peer("openssl"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=SECONDS)


# --- from the first command to a connection --------------------------------------------------------------------------------


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
    assert "try it" not in text
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
    serial = next(line.split()[0] for line in lines if line.endswith("a.example"))
    text = told("revoke", serial, "--reason", "key-compromise")
    assert "a.example" in text
    assert "key-compromise" in text
    assert "was revoked" in told("revoke", "a.example.pem")
    told("revoke", "b.example.pem")
    text = told("list")
    assert "4 certificates: 2 valid, 2 revoked" in text
    assert text.count("revoked on ") == 2
    root = "handfast-ca/root.pem"
    check = ("verify", "-CAfile", root, "-crl_check_all", "-CRLfile", "handfast-ca/crl.pem", "-untrusted")
    assert b"certificate revoked" in openssl(*check, "a.example.pem", "a.example.pem").stderr
    assert openssl(*check, "c.example.pem", "c.example.pem").returncode == 0
    found = document("list")
    assert [item["state"] for item in found["certificates"]] == ["valid", "revoked", "revoked", "valid"]
    assert found["certificates"][1]["revoked"]["why"] == "key-compromise"
    assert found["root_key_here"] is True
    assert 29.9 < document("issue", "d.example")["certificate"]["days_left"] <= 30


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


# --- passphrases -----------------------------------------------------------------------------------------------------------


def test_passphrases(here: Path) -> None:
    Path("pass").write_text("correct horse\nand a second line\n")
    Path("empty").write_text("\n")
    Path("binary").write_bytes(b"\xff\n")
    told("init", "--passphrase-file", "pass")
    said = refused("issue", "a.example")
    assert "handfast-ca/intermediate.key" in said
    assert "--passphrase-file FILE" in said
    assert "the passphrase is wrong" in refused("issue", "a.example", "--passphrase-file", "-", stdin=b"wrong horse\n")
    for file, words in (("empty", "first line is empty"), ("binary", "UTF-8"), ("gone", "No such file")):
        assert words in refused("issue", "a.example", "--passphrase-file", file)
    told("issue", "a.example", "--passphrase-file", "pass")
    told("issue", "b.example", "--passphrase-file", "-", stdin=b"correct horse\r\n")
    told("list")
    assert "asks on a terminal" in refused("init", "--dir", "other", "--passphrase")
    assert "horse" not in b"".join(path.read_bytes() for path in Path("handfast-ca").glob("*.*")).decode("latin-1")


def on_a_terminal(*arguments: object, answers: list[str], interrupt: bool = False) -> tuple[int, str]:
    """Run a command on a terminal of its own, and answer what it asks; its exit code, and what it showed."""
    command = [sys.executable, "-m", "handfast", "ca", *map(str, arguments)]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)
    shown = b""
    until = time.monotonic() + SECONDS
    waiting = list(answers)
    while time.monotonic() < until:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # it has ended
            break
        shown += data
        if data.rstrip().endswith(b":") and waiting:
            os.write(terminal, waiting.pop(0).encode() + b"\n")
        elif data.rstrip().endswith(b":") and interrupt:
            os.write(terminal, b"\x03")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown.decode()


def test_whoever_has_a_terminal_is_asked(here: Path) -> None:
    code, shown = on_a_terminal("init", "--passphrase", answers=["correct horse", "correct horse"])
    assert code == 0, shown
    assert "horse" not in shown
    assert on_a_terminal("issue", "a.example", answers=["correct horse"])[0] == 0
    code, shown = on_a_terminal("issue", "b.example", answers=["wrong horse"])
    assert (code, "the passphrase is wrong" in shown) == (2, True)
    code, shown = on_a_terminal("issue", "c.example", "--p12", answers=["of the p12", "correct horse"])
    assert code == 0, shown
    assert openssl("pkcs12", "-in", "c.example.p12", "-passin", "pass:of the p12", "-noout").returncode == 0
    for answers, words in ((["correct horse", "other"], "not the same"), (["short"], "at least 8 characters")):
        code, shown = on_a_terminal("init", "--dir", "d", "--passphrase", answers=answers)
        assert (code, words in shown) == (2, True)
    code, shown = on_a_terminal("issue", "d.example", answers=[], interrupt=True)
    assert code == 130
    assert "Traceback" not in shown
    assert not Path("d").exists()
    assert not Path("d.example.pem").exists()


# --- what is wrong ---------------------------------------------------------------------------------------------------------


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
        (["init", "--dir", "new", "--from", "gone"], "There is no certificate authority in this folder"),
        (["issue", "Alice Smith"], "name Alice Smith"),
        (["issue", "a.example", "--kind", "king"], "--kind: no kind of certificate is called king"),
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
    """In this process, since there are so many."""
    Path("a-file").write_text("mine")
    Path("there.example.key").write_text("mine")
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    ending = signal.getsignal(signal.SIGTERM)
    try:
        run = CliRunner().invoke(app, ["ca", *arguments], env={"COLUMNS": "100"})
    finally:
        signal.signal(signal.SIGTERM, ending)
    assert (run.exit_code, run.stdout) == (2, "")
    assert run.stderr.startswith("handfast: ")
    assert words in " ".join(run.stderr.split())
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


# --- full disks, and ends in the middle -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_output_that_goes_nowhere(made: Path, options: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        run = ca("list", *options, stdout=full)
    assert run.returncode == 2
    assert lines_of(run)[0] == "handfast: A file cannot be written."


def test_a_disk_that_is_full(made: Path) -> None:
    """A limit on the size of files stands for it: 1024 bytes are too few for a chain."""
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    command = f"ulimit -f 1; exec {sys.executable} -m handfast ca"
    for rest in ("issue a.example", "init --dir new --key rsa3072"):
        run = subprocess.run(["bash", "-c", f"{command} {rest}"], capture_output=True, timeout=SECONDS)
        assert run.returncode == 2
        assert lines_of(run)[0] == "handfast: A file cannot be written."
        assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_ended_in_the_middle(made: Path, end: signal.Signals) -> None:
    """It waits for another run, with all but the last step done."""
    with files.locked(Path("handfast-ca/lock")):
        command = [sys.executable, "-m", "handfast", "ca", "issue", "a.example"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            until = time.monotonic() + SECONDS
            while "/lock" not in _open_files(process.pid) and time.monotonic() < until:
                time.sleep(0.01)
            process.send_signal(end)
            out, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, out, errors) == (130, b"", b"")
    assert names(made) == {"handfast-ca"}
    assert len(Index.read(Path("handfast-ca/index.jsonl")).entries) == 1


def _open_files(process: int) -> str:
    found = []
    for path in Path(f"/proc/{process}/fd").glob("*"):
        try:
            found.append(str(path.readlink()))
        except OSError:
            continue
    return " ".join(found)


def test_killed_at_any_moment(made: Path) -> None:
    """What is handed out is listed, and the folder works on."""
    for turn in range(5):
        command = [sys.executable, "-m", "handfast", "ca", "issue", f"a{turn}.example"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            until = time.monotonic() + SECONDS
            while not list(made.glob(f".a{turn}.example*")) and process.poll() is None and time.monotonic() < until:
                time.sleep(0.0005)
            time.sleep(turn / 1000)
            process.kill()
            process.communicate()
    told("issue", "b.example")
    listed = {name for item in document("list")["certificates"] for name in item["names"]}
    handed_out = {path.name.removesuffix(".pem") for path in made.glob("*.example.pem")}
    assert handed_out <= listed
    for name in handed_out:
        assert Identity.load(f"{name}.pem", f"{name}.key")


def test_two_at_a_time(made: Path) -> None:
    commands = [[sys.executable, "-m", "handfast", "ca", "issue", f"a{turn}.example"] for turn in range(4)]
    runs = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    assert [run.wait(SECONDS) for run in runs] == [0] * 4
    assert len(document("list")["certificates"]) == 5

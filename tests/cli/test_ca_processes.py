"""`handfast ca` as processes: on a terminal, with a full disk, ended in the middle, and several at a time."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from handfast import Identity
from handfast.authority import files
from handfast.authority.index import Index
from tests.cli.authorities import document, names, openssl, refused, told
from tests.cli.running import SECONDS, handfast, lines_of
from tests.cli.world import World


def test_each_command_as_a_process(here: Path) -> None:
    """What the others call in this process."""
    assert handfast("ca", "init").returncode == 0
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "a.key", "-out", "a.csr", "-subj", "/CN=x")
    signed = handfast("ca", "sign", "-", "a.example", stdin=Path("a.csr").read_bytes())
    assert (signed.returncode, lines_of(signed)) == (0, [])
    assert b"server  RSA 2048" in signed.stdout
    assert handfast("ca", "issue", "b.example").returncode == 0
    assert handfast("ca", "revoke", "a.example.pem").returncode == 0
    assert handfast("ca", "list").stdout.decode().splitlines()[-1] == "3 certificates: 2 valid, 1 revoked"


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


INTERRUPT, END = b"\x03", b"\x04"  # what Ctrl-C and Ctrl-D are on a terminal


def on_a_terminal(*arguments: object, answers: list[str], then: bytes = b"", command: str = "ca") -> tuple[int, str]:
    """Run a command on a terminal of its own, and answer what it asks; its exit code, and what it showed."""
    called = [sys.executable, "-m", "handfast", command, *map(str, arguments)]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(called[0], called)
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
        elif data.rstrip().endswith(b":") and then:
            os.write(terminal, then)
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
    code, shown = on_a_terminal("issue", "d.example", answers=[], then=INTERRUPT)
    assert code == 130
    assert "Traceback" not in shown
    assert not Path("d").exists()
    assert not Path("d.example.pem").exists()


def test_to_answer_with_ctrl_d_is_to_give_no_password(here: Path, world: World) -> None:
    told("init")
    for arguments, words in (
        (["init", "--dir", "other", "--passphrase"], "asks on a terminal"),
        (["issue", "a.example", "--p12"], "needs a password"),
    ):
        code, shown = on_a_terminal(*arguments, answers=[], then=END)
        assert (code, words in shown, "Aborted" in shown) == (2, True, False), shown
    code, shown = on_a_terminal("show", world / "locked.p12", answers=[], then=END, command="cert")
    assert (code, "has a password" in shown, "Aborted" in shown) == (2, True, False), shown
    code, shown = on_a_terminal("show", world / "locked.p12", "--json", answers=[], then=END, command="cert")
    assert json.loads(shown[shown.index("{") :])["error"]["evidence"]["setting"] == "--password-file"
    assert not Path("a.example.pem").exists()


# --- full disks, and ends in the middle -------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_output_that_goes_nowhere(made: Path, options: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        run = handfast("ca", "list", *options, stdout=full)
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

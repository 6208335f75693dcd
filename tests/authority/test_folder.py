"""An authority in a folder: what lies there, and that no crash, crowd or full disk takes it apart."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from handfast import Clock, ConfigurationError, Identity, reasons
from handfast.authority import Authority, AuthorityFolder, Outputs, Request, files
from handfast.authority.index import Index
from handfast.certificates import pem
from handfast.certificates.parsed import serial_text
from tests.authority.test_requests import request

NOW = datetime(2030, 5, 17, 12, 30, 15, tzinfo=UTC)


@pytest.fixture
def made(tmp_path: Path) -> AuthorityFolder:
    return AuthorityFolder.create(tmp_path / "ca")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def revoked_in(path: Path) -> set[int]:
    return {item.serial_number for item in x509.load_der_x509_crl(path.read_bytes())}


def serial_of(der: bytes) -> int:
    return x509.load_der_x509_certificate(der).serial_number


def why(error: pytest.ExceptionInfo[ConfigurationError]) -> Any:
    return error.value.reason


# --- making it ---------------------------------------------------------------------------------------------------------------


def test_what_lies_there(made: AuthorityFolder) -> None:
    assert names(made.path) == {
        "authority.json",
        "crl.pem",
        "index.jsonl",
        "intermediate.cer",
        "intermediate.crl",
        "intermediate.key",
        "intermediate.pem",
        "issued",
        "lock",
        "root.crl",
        "root.key",
        "root.pem",
    }
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (made.path, *made.path.iterdir())}
    assert modes["ca"] == modes["issued"] == 0o700
    assert modes["root.key"] == modes["intermediate.key"] == modes["index.jsonl"] == modes["lock"] == 0o600
    assert made.issuer().der == pem.certificates((made.path / "intermediate.pem").read_bytes())[0]
    assert made.issuer().der == (made.path / "intermediate.cer").read_bytes()
    assert made.root().pem == (made.path / "root.pem").read_bytes()
    assert (made.path / "crl.pem").read_bytes().count(b"BEGIN X509 CRL") == 2


def test_it_is_made_in_an_empty_folder_too(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    assert AuthorityFolder.create(tmp_path / "ca").entries()


def test_it_takes_nobody_s_place(tmp_path: Path, made: AuthorityFolder) -> None:
    before = {path.name: path.read_bytes() for path in made.path.iterdir() if path.is_file()}
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("ca", "file", "link"):
        with pytest.raises(ConfigurationError) as caught:
            AuthorityFolder.create(tmp_path / name)
        assert why(caught) is reasons.AUTHORITY_EXISTS
    assert {path.name: path.read_bytes() for path in made.path.iterdir() if path.is_file()} == before
    assert names(tmp_path) == {"ca", "file", "link"}


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AuthorityFolder.create(tmp_path / "there" / "is" / "none")
    assert why(caught) is reasons.FILE_UNWRITABLE


@pytest.mark.parametrize("at", ["intermediate.key", "root.key", "index.jsonl", "authority.json"])
@pytest.mark.parametrize("end", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_what_ends_in_the_middle_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, end: Any
) -> None:
    real = os.fsync
    written: list[str] = []

    def fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        written.append(name)
        if name.startswith(f".{at}."):
            raise end
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises((KeyboardInterrupt, ConfigurationError)):
        AuthorityFolder.create(tmp_path / "ca")
    assert any(name.startswith(f".{at}.") for name in written)
    assert names(tmp_path) == set()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, reasons.NOT_AN_AUTHORITY),
        ("", reasons.AUTHORITY_DAMAGED),
        ("[]", reasons.AUTHORITY_DAMAGED),
        ('{"format": "handfast authority 9"}', reasons.AUTHORITY_DAMAGED),
        ('{"format": "handfast authority 1", "name": "x"}', reasons.AUTHORITY_DAMAGED),
        (
            '{"format": "handfast authority 1", "name": "", "permit": ["a b"], "exclude": [], "crl_url": "", "issuer_url": ""}',
            reasons.AUTHORITY_DAMAGED,
        ),
    ],
)
def test_folders_that_are_none(tmp_path: Path, content: str | None, reason: Any) -> None:
    if content is not None:
        (tmp_path / "authority.json").write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        AuthorityFolder(tmp_path)
    assert why(caught) is reason


def test_a_key_that_is_another_one_s_is_named_by_its_file(tmp_path: Path) -> None:
    folders = [AuthorityFolder.create(tmp_path / name) for name in ("one", "two")]
    keys = [folder.path / "intermediate.key" for folder in folders]
    keys[0].write_bytes(keys[1].read_bytes())
    with pytest.raises(ConfigurationError) as caught:
        AuthorityFolder(folders[0].path).issue("a.example")
    assert why(caught) is reasons.KEY_MISMATCH
    assert caught.value.evidence["file"] == str(keys[0])
    keys[0].write_bytes(keys[1].read_bytes()[:99])
    with pytest.raises(ConfigurationError) as caught:
        AuthorityFolder(folders[0].path).issue("a.example")
    assert why(caught) is reasons.AUTHORITY_DAMAGED
    assert caught.value.hint.startswith("Put the file back from a copy. Do not begin index.jsonl anew")


def test_settings_are_kept(tmp_path: Path) -> None:
    urls = {"crl_url": "http://a.example/x.crl", "issuer_url": "http://a.example/x.cer"}
    AuthorityFolder.create(tmp_path / "ca", "Prüfstelle", permit=["example.com"], exclude=["10.0.0.0/8"], **urls)
    again = AuthorityFolder(tmp_path / "ca")
    assert again.settings.name == "Prüfstelle"
    assert again.settings.limits.texts == (["example.com"], ["10.0.0.0/8"])
    made = again.issue("www.example.com")
    found = x509.load_der_x509_certificate(made.chain[0]).extensions
    assert urls["crl_url"] in str(found.get_extension_for_class(x509.CRLDistributionPoints).value)
    with pytest.raises(ConfigurationError):
        again.issue("www.example.org")


@pytest.mark.parametrize("file", ["intermediate.pem", "root.pem", "intermediate.key"])
@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_files_that_are_not_what_they_were(made: AuthorityFolder, file: str, content: bytes) -> None:
    (made.path / file).write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        AuthorityFolder(made.path).issue("a.example")
    assert why(caught) is reasons.AUTHORITY_DAMAGED


def test_a_file_that_is_missing(made: AuthorityFolder) -> None:
    (made.path / "intermediate.key").unlink()
    with pytest.raises(ConfigurationError) as caught:
        AuthorityFolder(made.path).issue("a.example")
    assert why(caught) is reasons.FILE_UNREADABLE


# --- issuing -----------------------------------------------------------------------------------------------------------------


def test_what_is_issued_is_listed_and_kept(tmp_path: Path, made: AuthorityFolder) -> None:
    outputs = Outputs(tmp_path, "a", password="secret")
    assert "secret" not in repr(outputs)
    identity = made.issue("a.example", "192.0.2.1", outputs=outputs)
    assert Identity.load(tmp_path / "a.pem", tmp_path / "a.key").chain == identity.chain
    assert (
        stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == stat.S_IMODE((tmp_path / "a.p12").stat().st_mode) == 0o600
    )
    assert stat.S_IMODE((tmp_path / "a.pem").stat().st_mode) & 0o444 == 0o444 & ~_umask()
    entry = AuthorityFolder(made.path).entries()[-1]
    assert (entry.serial, entry.kind, entry.names) == (
        serial_of(identity.chain[0]),
        "server",
        ("a.example", "192.0.2.1"),
    )
    assert (made.path / "issued" / f"{entry.number}.pem").read_bytes() == identity.certificate_pem
    assert entry.state(datetime.now(UTC)) == "valid"
    assert entry.state(entry.not_after + timedelta(seconds=1)) == "expired"
    assert b"PRIVATE" not in b"".join(path.read_bytes() for path in (made.path / "issued").iterdir())


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def test_a_folder_is_not_replaced_by_force_either(tmp_path: Path, made: AuthorityFolder) -> None:
    """It was found out when the key was replaced already, and the certificate was on the list."""
    outputs = Outputs(tmp_path, "a", replace=True)
    outputs.key.write_bytes(b"the old key")
    outputs.chain.mkdir()
    before = made.entries()
    with pytest.raises(ConfigurationError) as caught:
        made.issue("a.example", outputs=outputs)
    assert why(caught) is reasons.FILE_UNWRITABLE
    assert caught.value.evidence["file"] == [str(outputs.chain)]
    assert made.entries() == before
    assert outputs.key.read_bytes() == b"the old key"


def test_files_are_put_in_their_places_all_or_none(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"old")
    second.mkdir()
    with pytest.raises(ConfigurationError) as caught, files.Together() as together:
        together.add(first, b"new")
        together.add(second, b"new")
        together.put_in_place()
    assert caught.value.evidence["file"] == str(second)
    assert first.read_bytes() == b"old"
    assert names(tmp_path) == {"first", "second"}


def test_no_file_is_replaced_unasked(tmp_path: Path, made: AuthorityFolder) -> None:
    outputs = Outputs(tmp_path, "a")
    made.issue("a.example", outputs=outputs)
    before = [outputs.chain.read_bytes(), outputs.key.read_bytes(), len(made.entries())]
    with pytest.raises(ConfigurationError) as caught:
        made.issue("a.example", outputs=outputs)
    assert why(caught) is reasons.FILE_THERE_ALREADY
    with pytest.raises(ConfigurationError):
        made.sign(Request(request()), "a.example", outputs=outputs)
    assert [outputs.chain.read_bytes(), outputs.key.read_bytes(), len(made.entries())] == before
    made.issue("a.example", outputs=Outputs(tmp_path, "a", replace=True))
    assert outputs.key.read_bytes() != before[1]
    assert Identity.load(outputs.chain, outputs.key)


def test_what_cannot_be_written_is_not_listed(tmp_path: Path, made: AuthorityFolder) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made.issue("a.example", outputs=Outputs(tmp_path / "nowhere", "a"))
    assert why(caught) is reasons.FILE_UNWRITABLE
    assert len(made.entries()) == 1
    assert names(made.path / "issued") == set()


def test_a_request_is_signed_and_listed(tmp_path: Path, made: AuthorityFolder) -> None:
    chain = made.sign(Request(request()), "a.example", kind="client", outputs=Outputs(tmp_path, "a"))
    assert (tmp_path / "a.pem").read_bytes() == b"".join(map(pem.certificate, chain))
    assert not (tmp_path / "a.key").exists()
    assert made.entries()[-1].kind == "client"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("server", "a.example"), ("client", "a.example"), ("both", "a.example"), ("spiffe", "spiffe://a/b")],
)
def test_kinds_in_the_list(made: AuthorityFolder, kind: Any, name: str) -> None:
    made.issue(name, kind=kind)
    assert AuthorityFolder(made.path).entries()[-1].kind == kind


# --- passphrases -----------------------------------------------------------------------------------------------------------


def test_passphrases(tmp_path: Path) -> None:
    AuthorityFolder.create(tmp_path / "ca", passphrase="pässword", root_passphrase=b"other")
    for wrong in (None, "", "password", b"other"):
        with pytest.raises(ConfigurationError) as caught:
            AuthorityFolder(tmp_path / "ca", wrong).issue("a.example")
        assert why(caught) is reasons.AUTHORITY_KEY_LOCKED
        assert "password" not in str(caught.value)
    assert AuthorityFolder(tmp_path / "ca", "pässword").issue("a.example")
    assert AuthorityFolder(tmp_path / "ca", "other").root()
    asked: list[Path] = []

    def ask(path: Path) -> str:
        asked.append(path)
        return "pässword"

    folder = AuthorityFolder(tmp_path / "ca", ask)
    assert folder.entries()
    assert asked == []
    folder.issue("a.example")
    folder.issue("b.example")
    assert asked == [tmp_path / "ca" / "intermediate.key"]


def test_nobody_is_asked_for_the_passphrase_of_a_key_that_is_not_encrypted(made: AuthorityFolder) -> None:
    def ask(_: Path) -> str:
        raise AssertionError

    assert AuthorityFolder(made.path, ask).issue("a.example")
    assert AuthorityFolder(made.path, "not needed").issue("a.example")


# --- a root that is kept elsewhere -----------------------------------------------------------------------------------------


def test_the_root_s_key_can_go_away(tmp_path: Path, made: AuthorityFolder) -> None:
    away = tmp_path / "usb"
    away.mkdir()
    (made.path / "root.key").rename(away / "root.key")
    made = AuthorityFolder(made.path)
    assert not made.has_root_key
    made.revoke(serial_of(made.issue("a.example").chain[0]))
    for attempt in (lambda: made.create_below(tmp_path / "b"), lambda: made.renew_list("root")):
        with pytest.raises(ConfigurationError) as caught:
            attempt()
        assert why(caught) is reasons.AUTHORITY_KEY_ELSEWHERE
    made.renew_list("root", root_key=away / "root.key")
    other = AuthorityFolder.create(tmp_path / "other")
    with pytest.raises(ConfigurationError) as caught:
        made.renew_list("root", root_key=other.path / "root.key")
    assert why(caught) is reasons.KEY_MISMATCH
    with pytest.raises(ConfigurationError) as caught:
        made.renew_list("root", root_key=tmp_path / "ca" / "root.pem")
    assert "no private key" in str(caught.value)


def test_a_second_intermediate(tmp_path: Path, made: AuthorityFolder) -> None:
    below = made.create_below(tmp_path / "b", passphrase="x")
    assert below.issuer().chain[1] == made.issuer().chain[1]
    subjects = {folder.issuer().certificate.subject.rfc4514_string() for folder in (made, below)}
    assert subjects == {"CN=handfast intermediate", "CN=handfast intermediate 2"}
    assert not below.has_root_key
    assert below.entries() == []
    assert [entry.kind for entry in made.entries()] == ["intermediate"] * 2
    assert set(below.list_is_due()) == {"intermediate"}
    assert below.issue("a.example").chain[1] == below.issuer().der
    entry = made.revoke(below.issuer().der, "cessation-of-operation")
    assert revoked_in(made.path / "root.crl") == {entry.serial}


# --- revoking ----------------------------------------------------------------------------------------------------------------


def test_revoking(made: AuthorityFolder) -> None:
    first, second = (made.issue(f"{name}.example").chain[0] for name in "ab")
    entry = made.revoke(serial_of(first), "superseded")
    assert entry.revoked is not None
    assert entry.state(datetime.now(UTC)) == "revoked"
    assert revoked_in(made.path / "intermediate.crl") == {serial_of(first)}
    assert (made.path / "crl.pem").read_bytes().count(b"BEGIN X509 CRL") == 2
    again = made.revoke(pem.certificate(first), "key-compromise")
    assert again.revoked == entry.revoked
    made.revoke(serial_text(serial_of(second))[:8].upper())
    assert revoked_in(made.path / "intermediate.crl") == {serial_of(first), serial_of(second)}
    numbers = x509.load_der_x509_crl((made.path / "intermediate.crl").read_bytes()).extensions
    assert numbers.get_extension_for_class(x509.CRLNumber).value.crl_number == 4


def test_what_cannot_be_revoked(made: AuthorityFolder) -> None:
    der = made.issue("a.example").chain[0]
    stranger = Authority.create("root").issue("a.example").chain[0]
    for wrong in (5, "", "zz", "ffff", serial_text(serial_of(der))[:3], stranger, b"hello", made.root().der):
        with pytest.raises(ConfigurationError) as caught:
            made.revoke(wrong)
        assert why(caught) is reasons.NOT_ISSUED_HERE
    with pytest.raises(ConfigurationError) as caught:
        made.revoke(serial_of(der), "boredom")
    assert "superseded" in caught.value.evidence["known"]  # type: ignore[operator]
    assert revoked_in(made.path / "intermediate.crl") == set()


@pytest.mark.parametrize("name", ["root", "intermediate", "crl"])
def test_its_own_files_are_not_replaced_even_by_force(made: AuthorityFolder, name: str) -> None:
    before = {path: path.read_bytes() for path in made.path.iterdir() if path.is_file()}
    with pytest.raises(ConfigurationError) as caught:
        made.issue("a.example", outputs=Outputs(made.path / "issued" / "..", name, replace=True))
    assert why(caught) is reasons.FILE_THERE_ALREADY
    assert {path: path.read_bytes() for path in made.path.iterdir() if path.is_file()} == before


def test_what_has_expired_is_named_once_more_and_then_no_more(tmp_path: Path) -> None:
    """RFC 5280 section 3.3: until it has been on a list that was made after it had expired."""
    moment = NOW
    made = AuthorityFolder.create(tmp_path / "ca", clock=Clock(wall=lambda: moment))
    serial = serial_of(made.issue("a.example", lifetime=timedelta(hours=1)).chain[0])
    path = made.path / "intermediate.crl"
    made.revoke(serial)
    assert revoked_in(path) == {serial}
    moment = NOW + timedelta(hours=2)
    made.renew_list()
    assert revoked_in(path) == {serial}
    moment = NOW + timedelta(hours=3)
    made.renew_list()
    assert revoked_in(path) == set()
    moment = NOW + timedelta(minutes=30)  # so the clock was wrong: it has not expired
    made.renew_list()
    assert revoked_in(path) == {serial}


def test_when_the_next_list_is_due(tmp_path: Path) -> None:
    made = AuthorityFolder.create(tmp_path / "ca", clock=Clock(wall=lambda: NOW))
    assert made.list_is_due() == {"root": NOW + timedelta(days=365), "intermediate": NOW + timedelta(days=7)}
    made.renew_list(next_update=timedelta(hours=3))
    made.renew_list("root", next_update=timedelta(hours=5))
    assert made.list_is_due() == {"root": NOW + timedelta(hours=5), "intermediate": NOW + timedelta(hours=3)}
    (made.path / "root.crl").write_bytes(b"hello")
    with pytest.raises(ConfigurationError) as caught:
        made.list_is_due()
    assert why(caught) is reasons.AUTHORITY_DAMAGED


def test_a_run_that_ended_between_a_revocation_and_its_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = AuthorityFolder.create(tmp_path / "ca")
    identity = made.issue("www.example.com")
    other = made.issue("other.example.com")
    assert made.unlisted() == []

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(AuthorityFolder, "_write_list", crash)
        with pytest.raises(KeyboardInterrupt):
            made.revoke(identity.chain[0])
    again = AuthorityFolder(made.path)
    assert [entry.names for entry in again.unlisted()] == [("www.example.com",)]
    again.revoke(other.chain[0])
    assert again.unlisted() == []
    assert len(revoked_in(made.path / "intermediate.crl")) == 2


# --- the index ----------------------------------------------------------------------------------------------------------------


def test_a_line_that_a_crash_has_cut_is_no_line(made: AuthorityFolder) -> None:
    path = made.path / "index.jsonl"
    made.issue("a.example")
    whole = path.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for cut in range(1, len(last)):
        path.write_bytes(whole[:-cut])
        assert len(made.entries()) == 1
    made.issue("b.example")
    assert [entry.names for entry in made.entries()][1:] == [("b.example",)]
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "hello",
        "[]",
        '{"event": "issued"}',
        '{"event": "revoked", "serial": "ff", "when": "2030-01-01T00:00:00+00:00", "why": "superseded"}',
        '{"event": "list", "issuer": "root", "number": 1, "when": "2030-01-01T00:00:00"}',
        '{"event": "other"}',
    ],
)
def test_a_line_that_is_wrong_is_named(made: AuthorityFolder, line: str) -> None:
    path = made.path / "index.jsonl"
    path.write_bytes(path.read_bytes() + line.encode() + b"\n")
    for attempt in (made.entries, lambda: made.issue("a.example")):
        with pytest.raises(ConfigurationError) as caught:
            attempt()
        assert why(caught) is reasons.AUTHORITY_DAMAGED
        assert caught.value.evidence["line"] == 4


def test_nothing_is_listed_that_does_not_fit_on_the_disk(tmp_path: Path, made: AuthorityFolder) -> None:
    """A limit on the size of files stands for the disk: the index has to grow by 300 bytes, and may not."""
    path = made.path / "index.jsonl"
    for number in range(12):
        made.issue(f"a{number}.example")
    before = path.read_bytes()
    child = multiprocessing.get_context("fork").Process(
        target=_in_little_space, args=(made.path, tmp_path, len(before))
    )
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert path.read_bytes() == before
    assert names(tmp_path) == {"ca"}
    assert len(names(made.path / "issued")) == 12
    made.issue("b.example")


def _in_little_space(folder: Path, out: Path, size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, size + 100))
    with pytest.raises(ConfigurationError) as caught:
        AuthorityFolder(folder).issue("a.example", outputs=Outputs(out, "a"))
    assert caught.value.reason is reasons.FILE_UNWRITABLE
    assert caught.value.evidence["file"] == str(folder / "index.jsonl")


@pytest.mark.parametrize("at", ["a.key", "a.pem", "index.jsonl"])
def test_an_interruption_leaves_all_or_nothing(
    tmp_path: Path, made: AuthorityFolder, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name.strip(".").startswith(at):
            raise KeyboardInterrupt
        real(descriptor)

    before = (made.path / "index.jsonl").read_bytes()
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(KeyboardInterrupt):
        made.issue("a.example", outputs=Outputs(tmp_path, "a"))
    monkeypatch.undo()
    assert (made.path / "index.jsonl").read_bytes() == before
    assert names(tmp_path) == {"ca"}
    assert names(made.path / "issued") == set()


# --- several at a time ------------------------------------------------------------------------------------------------------


def test_several_runs_at_a_time(made: AuthorityFolder) -> None:
    context = multiprocessing.get_context("fork")
    runs = [context.Process(target=_issue_and_revoke, args=(made.path, number)) for number in range(4)]
    for child in runs:
        child.start()
    for child in runs:
        child.join(90)
        assert child.exitcode == 0
    index = Index.read(made.path / "index.jsonl")
    assert len(index.entries) == 1 + 4 * 5
    gone = {entry.serial for entry in index.entries.values() if entry.revoked is not None}
    assert len(gone) == 4 * 5
    assert revoked_in(made.path / "intermediate.crl") == gone
    assert index.numbers["intermediate"] == 1 + 4 * 5


def _issue_and_revoke(folder: Path, number: int) -> None:
    authority = AuthorityFolder(folder)
    for turn in range(5):
        authority.revoke(serial_of(authority.issue(f"a{number}-{turn}.example").chain[0]))


def test_two_runs_for_the_same_files(tmp_path: Path, made: AuthorityFolder) -> None:
    """One of them writes both files, and the other is told that they are there."""
    ended: list[Any] = []

    def issue() -> None:
        try:
            AuthorityFolder(made.path).issue("a.example", outputs=Outputs(tmp_path, "a"))
            ended.append(None)
        except ConfigurationError as error:
            ended.append(error.reason)

    threads = [threading.Thread(target=issue) for _ in range(2)]
    with files.locked(made.path / "lock"):  # until both have looked whether the files are there
        for thread in threads:
            thread.start()
        threading.Event().wait(0.5)
    for thread in threads:
        thread.join(60)
    assert set(ended) == {None, reasons.FILE_THERE_ALREADY}
    assert Identity.load(tmp_path / "a.pem", tmp_path / "a.key")
    assert len(made.entries()) == 2


@pytest.fixture
def held(made: AuthorityFolder) -> Iterator[Path]:
    """An authority with which another run is at work."""
    begun, done = threading.Event(), threading.Event()

    def hold() -> None:
        with files.locked(made.path / "lock"):
            begun.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(60)
    yield made.path
    done.set()
    thread.join()


def test_who_waits_too_long_is_told(held: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "WAIT", 0.05)
    made = AuthorityFolder(held)
    with pytest.raises(ConfigurationError) as caught:
        made.issue("a.example")
    assert why(caught) is reasons.AUTHORITY_BUSY
    assert len(made.entries()) == 1  # to look needs no lock


def test_it_waits_for_a_moment(made: AuthorityFolder) -> None:
    begun = threading.Event()

    def hold() -> None:
        with files.locked(made.path / "lock"):
            begun.set()
            threading.Event().wait(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(60)
    made.issue("a.example")
    thread.join()
    assert len(made.entries()) == 2


def test_a_key_that_others_may_read_is_told(made: AuthorityFolder) -> None:
    key = made.path / "intermediate.key"
    assert files.exposed(key) == files.exposed(made.path / "nothing") == ""
    key.chmod(0o640)
    assert "mode 640" in files.exposed(key)


def test_it_says_nothing_of_its_keys(made: AuthorityFolder) -> None:
    assert repr(made) == f"<AuthorityFolder {made.path}>"

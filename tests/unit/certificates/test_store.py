"""The trust store: where roots come from, and what is done with odd ones."""

from __future__ import annotations

import subprocess
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import certifi
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from handfast import reasons
from handfast.certificates import pem, places, store
from handfast.certificates.der import parts
from handfast.certificates.store import TrustStore
from handfast.errors import ConfigurationError
from handfast.testing import Authority
from handfast.testing.chains import root
from tests.unit.certificates.made import root_with_full_serial

SUBJECT = parts(root().der).subject


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A process that has loaded no store yet, and whose environment names none."""
    monkeypatch.setattr(store, "_loaded", {})
    monkeypatch.setattr(places, "FOLDERS", ())
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    return monkeypatch


def _with_serial(number: bytes) -> bytes:
    """A root whose serial number is replaced by another one of the same length."""
    made = root_with_full_serial()
    serial = made.certificate.serial_number.to_bytes(20, "big")
    assert made.der.count(serial) == 1
    return made.der.replace(serial, number)


def test_bytes_pem_and_der_alike() -> None:
    other = Authority.create("another root")
    from_der = TrustStore.from_bytes(root().der, other.der)
    from_pem = TrustStore.from_bytes(root().pem + other.pem)
    assert from_der.roots == from_pem.roots == (root().certificate, other.certificate)
    assert len(from_der) == 2
    assert from_der.source == "memory"
    assert repr(from_der) == "<TrustStore memory: 2 roots>"


def test_each_root_counts_once() -> None:
    assert len(TrustStore.from_bytes(root().pem, root().der)) == 1
    assert repr(TrustStore.from_bytes(root().der)) == "<TrustStore memory: 1 root>"


def test_files(tmp_path: Path) -> None:
    first, second = root().write(tmp_path), tmp_path / "second.der"
    second.write_bytes(Authority.create("another root").der)
    found = TrustStore.from_files(first, str(second))
    assert len(found) == 2
    assert found.source == f"{first}, {second}"


def test_lookups() -> None:
    twin = Authority.create()  # of the same name, with another key
    found = TrustStore.from_bytes(root().der, twin.der)
    assert root().certificate in found
    assert Authority.create().certificate not in found
    assert "something else" not in found
    assert [item.der for item in found.by_subject(SUBJECT)] == [root().der, twin.der]
    assert found.by_subject(b"") == ()
    assert found.names(SUBJECT)
    assert not found.names(b"")
    assert found.organizations == {"handfast testing"}
    assert found.parsed(root().certificate) is found.parsed(root().certificate)


def test_a_bad_root_is_left_out_and_listed(tmp_path: Path) -> None:
    path = tmp_path / "bundle.pem"
    path.write_bytes(pem.certificate(root().der[:-1]) + root().pem + pem.certificate(b"\0"))
    found = TrustStore.from_files(path)
    assert found.roots == (root().certificate,)
    assert [bad.position for bad in found.skipped] == [1, 3]
    assert all(bad.problem for bad in found.skipped)
    assert repr(found) == f"<TrustStore {path}: 1 root, 2 skipped>"


def test_a_bundle_that_is_cut_has_its_last_root_listed(tmp_path: Path) -> None:
    path = tmp_path / "bundle.pem"
    path.write_bytes(root().pem + root().intermediate().pem[:200])
    found = TrustStore.from_files(path)
    assert found.roots == (root().certificate,)
    assert [(bad.position, "it is cut" in bad.problem) for bad in found.skipped] == [(2, True)]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (["-addtrust", "serverAuth"], ""),
        (["-addtrust", "anyExtendedKeyUsage"], ""),
        (["-addreject", "emailProtection"], ""),
        (["-setalias", "its name"], ""),
        (["-addreject", "serverAuth"], "its file rejects it for TLS"),
        (["-addreject", "clientAuth"], "its file rejects it for TLS"),
        (["-addtrust", "serverAuth", "-addreject", "anyExtendedKeyUsage"], "its file rejects it for TLS"),
        (["-addtrust", "emailProtection"], "its file trusts it for other things, and not for servers"),
    ],
)
def test_what_openssl_says_behind_a_root_counts(tmp_path: Path, said: list[str], problem: str) -> None:
    """BEGIN TRUSTED CERTIFICATE: Fedora's bundle has roots that it distrusts, and roots for mail alone, in that form."""
    made = Authority.create("another root")
    command = ["openssl", "x509", "-trustout", *said]
    text = subprocess.run(command, input=made.pem, stdout=subprocess.PIPE, check=True).stdout
    assert text.startswith(b"-----BEGIN TRUSTED CERTIFICATE-----")
    found = TrustStore.from_bytes(text + root().pem, source="bundle")
    assert (made.certificate in found) is (not problem)
    assert [str(bad) for bad in found.skipped] == ([f"certificate 1: {problem}"] if problem else [])
    assert pem.certificates(text) == [made.der]  # to show it, it is a certificate as any other


_SERVERS, _MAIL = "06082b06010505070301", "06082b06010505070304"


@pytest.mark.parametrize(
    "behind",
    [
        "30",
        "3003060155",
        "30050603551d25ff",
        "0400",
        "30003000",
        f"3018a00a{_SERVERS}a00a{_MAIL}",  # twice: OpenSSL reads neither
        f"3018300a{_MAIL}300a{_SERVERS}",
        f"3018a00a{_MAIL}300a{_SERVERS}",  # in another order
        f"300ea00c300a{_SERVERS}",  # a list in the list
    ],
)
def test_what_cannot_be_read_behind_a_root_does_not_make_it_trusted(behind: str) -> None:
    text = pem.block("TRUSTED CERTIFICATE", root().der + bytes.fromhex(behind))
    with pytest.raises(ConfigurationError) as caught:
        TrustStore.from_bytes(text)
    assert "what its file says of trust cannot be read" in str(caught.value)


@pytest.mark.parametrize("serial", [b"\x80" + bytes(19), bytes(20)])
def test_a_root_with_an_odd_serial_number_neither_fails_nor_warns(serial: bytes) -> None:
    der = _with_serial(serial)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = TrustStore.from_bytes(der, root().der)
        assert len(found.by_subject(SUBJECT)) == len(found)
        assert found.verification_store is found.verification_store
    assert not caught
    assert len(found) + len(found.skipped) == 2
    assert root().certificate in found


def test_the_filters_of_warnings_are_restored() -> None:
    before = list(warnings.filters)
    TrustStore.from_bytes(root().der).by_subject(SUBJECT)
    assert warnings.filters == before


def test_a_root_whose_extensions_do_not_parse_is_nobodys_issuer() -> None:
    # The octet string in the subjectKeyIdentifier gets another tag.
    odd = root().der.replace(bytes.fromhex("0603551d0e04160414"), bytes.fromhex("0603551d0e04160514"))
    found = TrustStore.from_bytes(odd, root().der)
    assert len(found) == 2
    assert [item.der for item in found.by_subject(SUBJECT)] == [root().der]
    assert found.organizations == {"handfast testing"}


@pytest.mark.parametrize("content", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_a_certificate_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "empty.pem"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        TrustStore.from_files(path)
    assert caught.value.reason is reasons.NOT_A_CERTIFICATE
    assert caught.value.evidence["file"] == str(path)


def test_a_file_without_an_end_is_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        TrustStore.from_files("/dev/zero")
    assert caught.value.evidence == {"file": "/dev/zero", "problem": "it has more than 64 MiB"}


def test_a_file_with_a_key_only_is_named(tmp_path: Path) -> None:
    _, key = root().issue("server.example").write(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        TrustStore.from_files(key)
    assert caught.value.evidence == {"file": str(key), "problem": "it has a private key, and no certificate"}


@pytest.mark.parametrize("name", ["missing.pem", "a name with a \0 in it"])
@pytest.mark.parametrize("load", [TrustStore.from_files, TrustStore.from_folder])
def test_a_missing_file_is_named(load: Callable[[Path], TrustStore], name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / name)
    assert caught.value.reason is reasons.FILE_UNREADABLE
    assert caught.value.evidence["file"] == str(tmp_path / name)


def test_nothing_at_all_is_refused() -> None:
    for empty in (TrustStore.from_bytes, TrustStore.from_files):
        with pytest.raises(ConfigurationError):
            empty()


# --- the system's, and certifi's -------------------------------------------------------------------------------------


def test_certifi(fresh: pytest.MonkeyPatch) -> None:
    found = TrustStore.certifi()
    assert found.source == "certifi"
    assert len(found) + len(found.skipped) == certifi.contents().count("BEGIN CERTIFICATE")
    assert len(found) > 50
    assert TrustStore.certifi() is found


def test_the_first_bundle_that_is_there(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    bundle = root().write(tmp_path)
    fresh.setattr(places, "BUNDLES", (str(tmp_path / "missing.pem"), str(empty), str(bundle)))
    found = TrustStore.system()
    assert found.source == str(bundle)
    assert TrustStore.system() is found
    assert TrustStore.default() is found


def test_certifi_where_the_system_has_none(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fresh.setattr(places, "BUNDLES", (str(tmp_path / "missing.pem"),))
    assert TrustStore.default() is TrustStore.certifi()


def test_neither(fresh: pytest.MonkeyPatch) -> None:
    fresh.setattr(places, "BUNDLES", ())
    fresh.setitem(__import__("sys").modules, "certifi", None)
    with pytest.raises(ConfigurationError) as caught:
        TrustStore.default()
    assert "certifi is not installed" in str(caught.value)


def test_the_environment_names_a_file(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = root().write(tmp_path)
    fresh.setenv("SSL_CERT_FILE", str(bundle))
    assert TrustStore.system().source == str(bundle)


def test_an_unusable_file_of_the_environment_is_not_replaced(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fresh.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    with pytest.raises(ConfigurationError) as caught:
        TrustStore.system()
    assert caught.value.reason is reasons.FILE_UNREADABLE
    assert caught.value.evidence["named_by"] == "the environment (SSL_CERT_FILE)"


def test_threads_get_one_store(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fresh.setattr(places, "BUNDLES", (str(root().write(tmp_path)),))
    found: list[TrustStore] = []
    threads = [threading.Thread(target=lambda: found.append(TrustStore.system())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({id(item) for item in found}) == 1


def test_pem_of_a_certificate_is_what_others_write() -> None:
    assert pem.certificate(root().der) == root().certificate.public_bytes(Encoding.PEM)


def test_subjects() -> None:
    """In order, each once: two roots of one name (an authority that changed its key) have one name."""
    first, second, again = Authority.create("one"), Authority.create("two"), Authority.create("one")
    store = TrustStore.from_bytes(first.der, second.der, again.der)
    assert len(store) == 3
    assert store.subjects() == tuple(authority.certificate.subject.public_bytes() for authority in (first, second))
    assert store.subjects() is store.subjects()

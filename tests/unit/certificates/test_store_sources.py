"""Folders, unions, roots that are distrusted, one store a source, and the stores of other systems."""

from __future__ import annotations

import gc
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from handfast import reasons
from handfast.authority.making import of_authority
from handfast.certificates import native, pem, places, store
from handfast.certificates.der import parts
from handfast.certificates.parsed import parsed
from handfast.certificates.policy import ChainVerifier
from handfast.certificates.store import TrustStore
from handfast.errors import CertificateError, ConfigurationError, UnknownIssuer
from handfast.testing import Authority
from handfast.testing.authority import certify
from tests.peers import require_peer

ONE, TWO, THREE = (Authority.create(name) for name in ("one", "two", "three"))


def store_of(*authorities: Authority, source: str = "memory") -> TrustStore:
    return TrustStore.from_bytes(*(authority.der for authority in authorities), source=source)


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(store, "_loaded", {})
    monkeypatch.setattr(places, "BUNDLES", ())
    monkeypatch.setattr(places, "FOLDERS", ())
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    return monkeypatch


# --- folders ----------------------------------------------------------------------------------------------------------


def test_a_folder_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_bytes(ONE.pem)
    (tmp_path / "b.CRT").write_bytes(TWO.der)
    (tmp_path / "c.cer").write_bytes(THREE.pem + ONE.pem)
    (tmp_path / "README").write_bytes(Authority.create("not asked for").pem)
    (tmp_path / "d.pem").mkdir()
    found = TrustStore.from_folder(tmp_path)
    assert found.roots == (ONE.certificate, TWO.certificate, THREE.certificate)
    assert found.source == found.name == str(tmp_path)
    assert not found.skipped


def test_a_folder_as_openssl_hashes_it(tmp_path: Path) -> None:
    """The hashed names alone count: what was put in without `openssl rehash` OpenSSL would not find either."""
    for name, authority in (("one", ONE), ("two", TWO)):
        (tmp_path / f"{name}.pem").write_bytes(authority.pem)
    assert subprocess.run([require_peer("openssl"), "rehash", str(tmp_path)], timeout=60).returncode == 0
    (tmp_path / "late.pem").write_bytes(THREE.pem)
    assert set(TrustStore.from_folder(tmp_path).roots) == {ONE.certificate, TWO.certificate}


def test_what_cannot_be_read_of_a_folder_is_skipped_and_named(tmp_path: Path) -> None:
    (tmp_path / "broken.pem").write_bytes(pem.certificate(TWO.der[:-1]) + ONE.pem + pem.certificate(b"0"))
    (tmp_path / "gone.pem").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.pem")
    found = TrustStore.from_folder(tmp_path)
    assert found.roots == (ONE.certificate,)
    assert [(bad.file, bad.position) for bad in found.skipped] == [
        ("gone.pem", 0),
        ("broken.pem", 1),
        ("broken.pem", 3),
    ]
    assert str(found.skipped[0]) == "gone.pem: No such file or directory"
    assert str(found.skipped[1]).startswith("broken.pem, certificate 1: ")


def test_a_folder_with_nothing_in_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        TrustStore.from_folder(tmp_path)
    assert (caught.value.reason, caught.value.evidence["file"]) == (reasons.NOT_A_CERTIFICATE, str(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        TrustStore.from_folder(tmp_path / "missing")
    assert caught.value.reason is reasons.FILE_UNREADABLE


# --- one store a source -----------------------------------------------------------------------------------------------


def test_the_same_source_is_parsed_once(tmp_path: Path) -> None:
    path = ONE.write(tmp_path)
    first = TrustStore.from_files(path)
    assert TrustStore.from_files(path) is first
    assert TrustStore.from_folder(tmp_path) is TrustStore.from_folder(tmp_path)
    assert TrustStore.from_bytes(ONE.der) is TrustStore.from_bytes(ONE.der)
    assert TrustStore.from_bytes(ONE.der) is not first  # of another source: it is called otherwise
    assert TrustStore.from_bytes(ONE.der + TWO.der) is not TrustStore.from_bytes(ONE.der)


def test_a_file_that_changes_gives_another_store(tmp_path: Path) -> None:
    path = ONE.write(tmp_path)
    first = TrustStore.from_files(path)
    path.write_bytes(TWO.pem)
    assert TrustStore.from_files(path).roots == (TWO.certificate,)
    assert first.roots == (ONE.certificate,)


def test_a_store_that_nobody_holds_goes() -> None:
    held = weakref.ref(TrustStore.from_bytes(Authority.create("short-lived").der))
    gc.collect()
    assert held() is None


def test_verifiers_share_what_a_store_has_worked_out() -> None:
    shared = store_of(ONE)
    first, second = ChainVerifier(shared), ChainVerifier(shared)
    assert first.trust is second.trust
    assert shared.verification_store is first.trust.verification_store


# --- unions -----------------------------------------------------------------------------------------------------------


def test_a_union_has_the_roots_of_all() -> None:
    left, right = store_of(ONE, TWO, source="left"), store_of(TWO, THREE, source="right")
    both = left | right
    assert both.roots == (ONE.certificate, TWO.certificate, THREE.certificate)
    assert both.source == "left, right"
    assert both.parts == (left, right)
    assert left.parts == ()
    assert both.name == "left, right"
    assert TrustStore.union(left, right, name="ours").name == "ours"
    assert (both | left).parts == (left, right)
    assert both.fingerprint == (right | left).fingerprint
    with pytest.raises(TypeError):
        left | "right"  # type: ignore[operator]
    assert left.union(right, store_of(ONE)).roots == both.roots
    assert left.union().roots == left.roots


def test_an_intersection_has_the_roots_of_both() -> None:
    left, right = store_of(ONE, TWO, source="left"), store_of(TWO, THREE, source="right")
    both = left.intersection(right)
    assert both.roots == (TWO.certificate,)
    assert both.name == "left"
    for one, other in ((store_of(ONE), right), (left, right.without(TWO.der))):
        with pytest.raises(
            ConfigurationError, match="no root in common"
        ):  # a None would be the system's, in ClientConfig
            one.intersection(other)
    for less in (left.without(ONE.der).intersection(right), left.intersection(right.without(ONE.der))):
        assert less.refuses(parsed(ONE.der))
        assert less.fingerprint != both.fingerprint


def test_each_root_is_known_by_the_stores_that_have_it() -> None:
    """What an explanation needs: who trusts this."""
    system, private = (
        store_of(ONE, TWO, source="/etc/a").named("system"),
        store_of(TWO, THREE, source="/etc/b").named("--ca"),
    )
    both = system | private
    assert both.holders(ONE.certificate) == ("system",)
    assert both.holders(TWO.certificate) == ("system", "--ca")
    assert both.holders(THREE.certificate) == ("--ca",)
    assert both.holders(Authority.create("nobody").certificate) == ()
    assert system.holders(ONE.certificate) == ("system",)
    assert (system.source, private.source) == ("/etc/a", "/etc/b")
    assert system.named("system") is system.named("") is system


# --- roots that are distrusted ----------------------------------------------------------------------------------------

HEXADECIMAL = hashlib.sha256(TWO.der).hexdigest()


@pytest.mark.parametrize(
    "root",
    [
        TWO.certificate,
        TWO.der,
        TWO.pem,
        HEXADECIMAL,
        HEXADECIMAL.upper(),
        ":".join(HEXADECIMAL[at : at + 2] for at in range(0, 64, 2)),
        " ".join(HEXADECIMAL[at : at + 2] for at in range(0, 64, 2)),
    ],
    ids=["certificate", "DER", "PEM", "digits", "capitals", "with colons, as OpenSSL prints it", "with blanks"],
)
def test_a_root_can_be_taken_out(root: Any) -> None:
    whole = store_of(ONE, TWO, source="system")
    less = whole.without(root)
    assert less.roots == (ONE.certificate,)
    assert less.distrusted == (TWO.certificate,)
    assert less.distrusts(whole.subjects()[1])
    assert not less.distrusts(whole.subjects()[0])
    assert repr(less) == "<TrustStore system: 1 root, 1 distrusted>"
    assert less.fingerprint != whole.fingerprint
    assert len(whole) == 2


def test_who_is_distrusted_is_not_accepted() -> None:
    now = datetime.now(UTC)
    chain = TWO.issue("server.example").chain
    whole = store_of(ONE, TWO)
    assert ChainVerifier(whole).verify_server(chain, "server.example", now)
    for less in (whole.without(TWO.certificate), whole.without(TWO.certificate) | whole):
        with pytest.raises(UnknownIssuer):
            ChainVerifier(less).verify_server(chain, "server.example", now)


def crossed(signer: Authority, other: Authority) -> bytes:
    """Another certificate of an authority, with its name and key, signed by somebody else."""
    validity = other.certificate.not_valid_before_utc, other.certificate.not_valid_after_utc
    own: Any = of_authority(other.key.public_key(), None)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
    own[x509.AuthorityKeyIdentifier] = (identifier, False)
    subject, issuer = other.certificate.subject, signer.certificate.subject
    return certify(subject, other.key.public_key(), issuer, signer.key, own, validity)


def test_a_distrusted_intermediate_leads_nowhere() -> None:
    """Whatever root it comes from, and whoever sends it; another one of its key does, unless the key is distrusted."""
    now = datetime.now(UTC)
    first = ONE.intermediate()
    second, leaf = crossed(TWO, first), first.issue("server.example").chain[0]
    whole = store_of(ONE, TWO)
    less = whole.without(first.der)
    assert ChainVerifier(less).trust_id != ChainVerifier(whole).trust_id
    one, both = (leaf, first.der), (leaf, first.der, second)
    assert ChainVerifier(whole).verify_server(one, "server.example", now)
    for strict in (less, less | whole, whole.without(hashlib.sha256(first.der).hexdigest())):
        with pytest.raises(UnknownIssuer) as caught:
            ChainVerifier(strict).verify_server(one, "server.example", now)
        assert caught.value.evidence["problem"] == "the issuer that was sent, or its key, was distrusted by hand"
        found = ChainVerifier(strict).verify_server(both, "server.example", now)
        assert found.path == (leaf, second, TWO.der)
    spki = parts(first.der).subject_public_key_info
    for strict in (whole.without(first.der, keys=True), whole.without(hashlib.sha256(spki).hexdigest())):
        with pytest.raises(UnknownIssuer):
            ChainVerifier(strict).verify_server(both, "server.example", now)


def test_a_distrusted_root_comes_not_back_by_another_s_signature() -> None:
    now = datetime.now(UTC)
    whole = store_of(ONE, TWO)
    chain = (*TWO.issue("server.example").chain, crossed(ONE, TWO))
    assert ChainVerifier(whole.without(TWO.der)).verify_server(chain, "server.example", now).path[-1] == ONE.der
    less = whole.without(TWO.der, keys=True)
    assert less.distrusted == (TWO.certificate,)
    with pytest.raises(UnknownIssuer):
        ChainVerifier(less).verify_server(chain, "server.example", now)


def test_a_distrusted_certificate_of_a_peer() -> None:
    now = datetime.now(UTC)
    leaf = ONE.issue("server.example")
    for keys in (False, True):
        verifier = ChainVerifier(store_of(ONE).without(leaf.chain[0], keys=keys))
        with pytest.raises(CertificateError) as caught:
            verifier.verify_server(leaf.chain, "server.example", now)
        assert caught.value.certificate == leaf.chain[0]
        assert "distrusted by hand" in caught.value.evidence["problem"]
        assert verifier.verify_server(ONE.issue("server.example").chain, "server.example", now)


def test_a_hash_of_a_certificate_does_not_tell_its_key() -> None:
    with pytest.raises(ConfigurationError, match="give the certificate"):
        store_of(ONE, TWO).without(HEXADECIMAL, keys=True)


def test_distrust_wins_in_a_union() -> None:
    whole = store_of(ONE, TWO, THREE)
    for both in (
        whole.without(TWO.der) | whole,
        whole | whole.without(TWO.der),
        whole.without(HEXADECIMAL) | store_of(TWO),
    ):
        assert TWO.certificate not in both
        assert TWO.certificate in both.distrusted
    assert (store_of(ONE).without(HEXADECIMAL) | store_of(TWO, THREE)).roots == (ONE.certificate, THREE.certificate)
    again = whole.without(TWO.der).without(THREE.der)
    assert again.distrusted == (TWO.certificate, THREE.certificate)
    assert again.named("few").distrusted == again.distrusted
    assert (again.named("few") | whole).roots == (ONE.certificate,)


def test_what_names_no_root_is_refused() -> None:
    """A typing error must not leave somebody trusted."""
    for wrong in ("", "00", HEXADECIMAL[:-1], HEXADECIMAL[:-1] + "g", "/etc/bad.pem"):
        with pytest.raises(ConfigurationError) as caught:
            store_of(ONE).without(wrong)
        assert caught.value.evidence["value"] == wrong
    with pytest.raises(ConfigurationError):
        store_of(ONE).without(b"hello")
    with pytest.raises(ConfigurationError, match="nobody could be trusted"):
        store_of(ONE).without(ONE.der)
    assert store_of(ONE).without(HEXADECIMAL).roots == (ONE.certificate,)


# --- the system's -------------------------------------------------------------------------------------------------------


def test_the_folder_of_the_environment_is_added(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle, folder = tmp_path / "bundle.pem", tmp_path / "folder"
    bundle.write_bytes(ONE.pem)
    folder.mkdir()
    (folder / "two.pem").write_bytes(TWO.pem)
    fresh.setenv("SSL_CERT_FILE", str(bundle))
    fresh.setenv("SSL_CERT_DIR", os.pathsep.join((str(tmp_path / "missing"), str(folder), "")))
    found = TrustStore.system()
    assert found.roots == (ONE.certificate, TWO.certificate)
    assert found.name == "system"
    assert found.source == f"{bundle}, {folder}"


def test_a_folder_that_adds_nothing_is_not_mentioned(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = ONE.write(tmp_path)
    fresh.setenv("SSL_CERT_FILE", str(path))
    fresh.setenv("SSL_CERT_DIR", str(tmp_path))
    assert TrustStore.system().source == str(path)


def test_a_folder_where_there_is_no_bundle(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ONE.write(tmp_path)
    fresh.setattr(places, "FOLDERS", (str(tmp_path / "missing"), str(tmp_path)))
    assert TrustStore.system().source == str(tmp_path)


def test_this_machines_own() -> None:
    """Where there is a bundle of the distribution, it is read without a loss."""
    bundle = next((path for path in places.BUNDLES if Path(path).is_file()), None)
    if bundle is None:
        pytest.skip("this machine has no bundle of roots")
    found = TrustStore.from_files(bundle)
    assert len(found) + len(found.skipped) == len(set(pem.certificates(Path(bundle).read_bytes())))


# --- Windows and macOS, as far as it can be seen from here: what decides, not what asks the system --------------------------

SERVERS = "1.3.6.1.5.5.7.3.1"


def test_windows() -> None:
    stores: dict[str, list[tuple[bytes, str, object]]] = {
        "ROOT": [
            (b"all", "x509_asn", True),
            (b"servers", "x509_asn", {SERVERS, "1.2.3"}),
            (b"mail", "x509_asn", {"1.3.6.1.5.5.7.3.4"}),
            (b"nothing", "x509_asn", set()),
            (b"pkcs7", "pkcs_7_asn", True),
            (b"refused", "x509_asn", True),
            (b"all", "x509_asn", True),
        ],
        "Disallowed": [(b"refused", "x509_asn", True)],
    }
    found = native.of_windows(lambda name: stores[name])
    assert found.ders == (b"all", b"servers")


def test_macos() -> None:
    found = native.of_macos(
        anchors=[b"apple 1", b"apple 2", b"apple 3", b"apple 4"],
        admin=[(b"apple 2", "deny"), (b"company", "trust"), (b"apple 3", "deny"), (b"odd", "unspecified")],
        user=[(b"apple 3", "trust"), (b"mine", "trust"), (b"apple 4", "deny"), (b"company", "unspecified")],
    )
    assert found.ders == (b"apple 1", b"apple 3", b"company", b"mine")


def test_their_stores_come_before_any_file(fresh: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fresh.setattr(places, "BUNDLES", (str(ONE.write(tmp_path)),))
    fresh.setattr(native, "roots", lambda: native.Native((TWO.der, TWO.der[:-1]), "the store of this system"))
    found = TrustStore.system()
    assert (found.roots, found.source, found.name) == ((TWO.certificate,), "the store of this system", "system")
    assert [bad.position for bad in found.skipped] == [2]


def test_certifi_where_they_do_not_answer(fresh: pytest.MonkeyPatch) -> None:
    fresh.setattr(native, "roots", lambda: native.Native((), "the store of this system"))
    assert TrustStore.system() is TrustStore.certifi()
    # What asks can be imported anywhere, and says that there is nothing to ask.
    fresh.undo()
    for platform in ("win32", "darwin"):
        if sys.platform != platform:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "platform", platform)
                assert native.roots() is None
    assert native.roots() is None or sys.platform in ("win32", "darwin")


def test_a_copy_of_a_folder(tmp_path: Path) -> None:
    """The source is the name and the bytes: a copy elsewhere is another store with the same roots."""
    ONE.write(tmp_path)
    shutil.copytree(tmp_path, tmp_path / "copy")
    first, second = TrustStore.from_folder(tmp_path), TrustStore.from_folder(tmp_path / "copy")
    assert first is not second
    assert first.fingerprint == second.fingerprint
    assert first.roots[0].fingerprint(SHA256()) == hashlib.sha256(ONE.der).digest()


@pytest.mark.parametrize(
    "spoiled", [lambda der: der + b"\n", lambda der: pem.certificate(der).replace(b"M", b"!", 1)], ids=["more", "less"]
)
def test_what_is_to_be_distrusted_has_to_be_a_certificate(spoiled: Any) -> None:
    """It would distrust nobody, and say nothing."""
    authority = Authority.create()
    with pytest.raises(ConfigurationError):
        (authority.trust | Authority.create().trust).without(spoiled(authority.der))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process")  # is multi-threaded
def test_a_forked_process_does_not_wait_for_a_thread_that_loads_roots_in_the_other() -> None:
    loading, go_on = threading.Event(), threading.Event()

    def load() -> None:
        with store._lock:
            loading.set()
            go_on.wait(20)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        assert loading.wait(10)
        child = os.fork()
        if not child:
            free = store._lock.acquire(timeout=5)
            os._exit(0 if free and len(TrustStore.from_bytes(ONE.der, source="a child")) == 1 else 1)
        _, ended = os.waitpid(child, 0)
    finally:
        go_on.set()
        thread.join(20)
    assert os.waitstatus_to_exitcode(ended) == 0

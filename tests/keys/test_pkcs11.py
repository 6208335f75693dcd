"""Keys in a token, by PKCS#11: SoftHSM is the token."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pkcs11
import pytest

from handfast import reasons
from handfast.certificates.identity import Identity, Signer
from handfast.certificates.parsed import parsed
from handfast.config import ClientConfig, ServerConfig
from handfast.crypto import signatures
from handfast.errors import ConfigurationError, KeyUnavailable, MisuseError, TLSError
from handfast.signers import KeyUri, Pkcs11Signer
from handfast.testing import Authority, IssuedIdentity, pair
from handfast.testing.keys import new_key
from handfast.wire.codepoints import SignatureScheme as S
from tests.keys.conftest import KINDS
from tests.keys.softhsm import PIN, SoftHsm

Issued = dict[str, IssuedIdentity]
GROUPS = ("X25519", "secp256r1", "secp384r1", "secp521r1")  # in TLS 1.2 the curve of a certificate has to be among them
EACH = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def signer(hsm: SoftHsm) -> Iterator[Pkcs11Signer]:
    with Pkcs11Signer(hsm.uri(object="p256"), PIN) as made:
        yield made


def _log_out(hsm: SoftHsm) -> None:
    """As if the token had been reset: all sessions are gone, and the login with them."""
    pkcs11.lib(hsm.library).reinitialize()


@pytest.fixture
def nobody_in(hsm: SoftHsm) -> SoftHsm:
    """The token without a login: an identity of another test that was not closed keeps its own as long as the process."""
    _log_out(hsm)
    return hsm


def refused(reason: reasons.Reason, uri: str, pin: Any = PIN) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        Pkcs11Signer(uri, pin)
    assert caught.value.reason is reason
    assert_no_pin(caught.value)
    return caught.value


def assert_no_pin(error: BaseException) -> None:
    text = "".join(traceback.format_exception(error)) + repr(error) + str(getattr(error, "evidence", ""))
    assert PIN not in text
    assert "hunter2" not in text


def verify(certificate: bytes, scheme: int, signature: object, content: bytes = b"content") -> None:
    leaf = parsed(certificate)
    assert isinstance(signature, bytes)
    table = signatures.SCHEMES if scheme in signatures.schemes_of(leaf.key) else signatures.SCHEMES_12
    signatures.verify(leaf.key, scheme, signature, content, table)


# --- kinds of keys --------------------------------------------------------------------------------------------------------


@EACH
def test_each_kind_signs_in_each_way_that_tls_has_for_it(kind: str, hsm: SoftHsm, issued: Issued) -> None:
    with Pkcs11Signer(hsm.uri(object=kind), PIN) as signer:
        identity = Identity(issued[kind].chain, signer)
        assert identity.schemes == issued[kind].schemes
        assert identity.schemes_12 == issued[kind].schemes_12
        assert isinstance(signer, Signer)
        for scheme in (*identity.schemes, *identity.schemes_12):
            verify(identity.chain[0], scheme, signer.sign(scheme, b"content"))


@EACH
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_handshakes_of_both_sides(kind: str, version: Any, hsm: SoftHsm, issued: Issued, authority: Authority) -> None:
    with Pkcs11Signer(hsm.uri(object=kind), PIN) as signer:
        who = Identity(issued[kind].chain, signer)
        client, server = pair(
            ClientConfig(trust=authority.trust, identities=[who], max_version=version, groups=GROUPS),
            ServerConfig(
                identities=[who], client_authentication="required", client_trust=authority.trust, min_version=version
            ),
            server_name="localhost",
        )
        assert client.handshake is not None
        assert client.handshake.version == f"TLSv{version}"
        assert client.handshake.peer.der == server.handshake.peer.der == who.chain[0]  # type: ignore[union-attr]


def test_a_key_that_tls_has_no_use_for(hsm: SoftHsm) -> None:
    hsm.put(new_key("p224"), "odd", 99, "another one")
    error = refused(reasons.SIGNING_FAILED, hsm.uri("another one", object="odd"))
    assert "TLS has no use for a key of this kind" in str(error)


def test_a_token_that_can_only_sign_what_is_hashed_already(hsm: SoftHsm, issued: Issued, monkeypatch: Any) -> None:
    """Some have RSA_PKCS_PSS alone, and leave the hash to us."""
    from handfast.signers import tokens

    raw = {pkcs11.Mechanism.RSA_PKCS_PSS}
    ways = tokens.ways
    monkeypatch.setattr(tokens, "ways", lambda key, mechanisms: ways(key, raw & set(mechanisms)))
    with Pkcs11Signer(hsm.uri(object="rsa2048"), PIN) as signer:
        assert set(signer.schemes) == {scheme for scheme in signer.schemes if "pss" in S.name(scheme)}
        for scheme in (S.RSA_PSS_RSAE_SHA256, S.RSA_PSS_RSAE_SHA384, S.RSA_PSS_RSAE_SHA512):
            verify(issued["rsa2048"].chain[0], scheme, signer.sign(scheme, b"content"))


# --- which key ------------------------------------------------------------------------------------------------------------


def test_by_label_by_id_and_by_what_the_token_is(hsm: SoftHsm, issued: Issued) -> None:
    with Pkcs11Signer(hsm.uri(object="p384"), PIN) as first:
        token = next(item for item in pkcs11.lib(hsm.library).get_tokens() if item.label == "handfast")
        serial = token.serial.decode()
        for parts in (
            {"id": "%02"},
            {"id": "%02", "object": "p384", "type": "private"},
            {"serial": serial, "id": "%02", "token": ""},
            {"manufacturer": "SoftHSM project", "model": "SoftHSM v2", "object": "p384"},
            {"slot-id": str(token.slot.slot_id), "object": "p384", "token": ""},
            {"library-manufacturer": "SoftHSM", "library-description": "Implementation of PKCS11", "object": "p384"},
        ):
            with Pkcs11Signer(hsm.uri(**parts), PIN) as found:
                assert found.schemes == first.schemes
                scheme = S.ECDSA_SECP384R1_SHA384
                verify(issued["p384"].chain[0], scheme, found.sign(scheme, b"content"))


def test_what_is_not_there(hsm: SoftHsm) -> None:
    assert "there is no token like that" in str(refused(reasons.KEY_NOT_FOUND, hsm.uri("nowhere", object="p256")))
    assert "there is no private key like that" in str(refused(reasons.KEY_NOT_FOUND, hsm.uri(object="nothing")))
    assert "there is no private key like that" in str(refused(reasons.KEY_NOT_FOUND, hsm.uri(object="p256", id="%02")))
    for other in ({"library-version": "99.1"}, {"library-manufacturer": "x"}, {"model": "x"}, {"slot-id": "99999"}):
        assert "there is no token like that" in str(refused(reasons.KEY_NOT_FOUND, hsm.uri(object="p256", **other)))
    nowhere = refused(reasons.KEY_NOT_FOUND, hsm.uri("nowhere", object="p256"))
    assert any(name.startswith("handfast (serial ") for name in cast("list[str]", nowhere.evidence["there_are"]))
    nothing = refused(reasons.KEY_NOT_FOUND, hsm.uri(object="nothing"))
    assert {"p256", "p384"} <= set(cast("list[str]", nothing.evidence["there_are"]))
    assert "5 private keys are like that" in str(refused(reasons.KEY_AMBIGUOUS, hsm.uri()))
    assert "tokens are like that" in str(refused(reasons.KEY_AMBIGUOUS, hsm.uri("", manufacturer="SoftHSM project")))


def test_a_library_that_is_none(hsm: SoftHsm, tmp_path: Path) -> None:
    empty = tmp_path / "empty.so"
    empty.write_bytes(b"")
    other = next(Path("/usr/lib").glob("*-linux-gnu/libc.so.6"), empty)
    for library in (empty, other, Path(__file__)):
        none = refused(reasons.BAD_KEY_URI, f"pkcs11:object=x?module-path={library}")
        assert none.evidence == {"module": str(library), "problem": "it is no PKCS#11 module"}
    refused(reasons.BAD_KEY_URI, f"pkcs11:object=x?module-path={tmp_path}/missing.so")


def test_by_the_librarys_name(hsm: SoftHsm) -> None:
    with Pkcs11Signer("pkcs11:token=handfast;object=p256?module-name=softhsm2", PIN) as found:
        assert found.schemes
    with Pkcs11Signer(
        f"pkcs11:token=handfast;object=p256?module-path={Path(hsm.library).parent}&module-name=softhsm2", PIN
    ):
        pass


# --- the PIN ----------------------------------------------------------------------------------------------------------------


def test_where_the_pin_may_come_from(hsm: SoftHsm, tmp_path: Path) -> None:
    file = tmp_path / "pin.txt"
    file.write_text(PIN + "\n")
    uri = hsm.uri(object="p256")
    for given, more in ((PIN, ""), (lambda: PIN, ""), (None, f"&pin-value={PIN}"), (None, f"&pin-source=file:{file}"), (None, f"&pin-source={file}")):  # fmt: skip
        with Pkcs11Signer(uri + more, given) as signer:
            assert PIN not in repr(signer)
            assert str(file) not in repr(signer)
            assert PIN not in str(signer.uri) + repr(signer.uri)
    refused(reasons.FILE_UNREADABLE, f"{uri}&pin-source={tmp_path}/missing", None)


def test_without_a_pin(nobody_in: SoftHsm) -> None:
    for nothing in (None, lambda: None):
        assert "wants a PIN, and none is given" in str(
            refused(reasons.PIN_MISSING, nobody_in.uri(object="p256"), nothing)
        )


def test_a_wrong_pin_is_tried_once(nobody_in: SoftHsm) -> None:
    """A token locks itself after a few: a server must not use these up, a handshake each."""
    asked: list[int] = []

    def wrong() -> str:
        asked.append(1)
        return "wrong-" + PIN

    assert "the PIN is wrong" in str(refused(reasons.PIN_REFUSED, nobody_in.uri(object="p256"), wrong))
    assert len(asked) == 1
    refused(reasons.PIN_REFUSED, nobody_in.uri(object="p256"), "1")


def test_a_pin_that_becomes_wrong_is_tried_once_too(nobody_in: SoftHsm) -> None:
    pins = iter([PIN, "wrong", PIN])
    with Pkcs11Signer(nobody_in.uri(object="p256"), lambda: next(pins)) as signer:
        _log_out(nobody_in)
        for _ in range(3):
            with pytest.raises(KeyUnavailable) as caught:
                signer.sign(S.ECDSA_SECP256R1_SHA256, b"content")
            assert caught.value.reason is reasons.PIN_REFUSED
            assert_no_pin(caught.value)
        assert next(pins) == PIN  # nobody has asked for the third one


# --- sessions, threads, processes -------------------------------------------------------------------------------------------


def test_many_threads_at_once(signer: Pkcs11Signer, issued: Issued) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                content = b"%d of %d" % (turn, number)
                scheme = S.ECDSA_SECP256R1_SHA256
                verify(issued["p256"].chain[0], scheme, signer.sign(scheme, content), content)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_two_signers_share_a_token(nobody_in: SoftHsm) -> None:
    """The login is of the process: who goes must not log out who stays, and the last one does."""
    pins: list[int] = []

    def pin() -> str:
        pins.append(1)
        return PIN

    first, second = (Pkcs11Signer(nobody_in.uri(object=kind), pin) for kind in ("p256", "rsa2048"))
    assert len(pins) == 1
    first.close()
    assert second.sign(second.schemes[0], b"content")
    second.close()
    assert len(pins) == 1
    assert not _is_logged_in(nobody_in)


def _is_logged_in(hsm: SoftHsm, label: str = "handfast") -> bool:
    """Whether this process sees the private keys of a token."""
    token = next(item for item in pkcs11.lib(hsm.library).get_tokens() if item.label == label)
    with token.open() as session:
        return bool(list(session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY})))


def test_a_signer_that_cannot_be_made_leaves_no_login(nobody_in: SoftHsm) -> None:
    """With it the next one would need no PIN, or take a wrong one."""
    for reason, parts in ((reasons.KEY_AMBIGUOUS, {}), (reasons.KEY_NOT_FOUND, {"object": "nothing"})):
        refused(reason, nobody_in.uri(**parts))
        assert not _is_logged_in(nobody_in)
    nobody_in.put(new_key("p224"), "useless", 98, "another one")
    refused(reasons.SIGNING_FAILED, nobody_in.uri("another one", object="useless"))
    assert not _is_logged_in(nobody_in, "another one")
    with Pkcs11Signer(nobody_in.uri(object="p256"), PIN) as signer:
        refused(reasons.KEY_AMBIGUOUS, nobody_in.uri())
        assert _is_logged_in(nobody_in)  # who needs the login keeps it
        assert signer.sign(signer.schemes[0], b"content")


def test_a_closed_signer_opens_again_when_it_is_needed(hsm: SoftHsm) -> None:
    signer = Pkcs11Signer(hsm.uri(object="p256"), PIN)
    signer.close()
    assert signer.sign(signer.schemes[0], b"content")
    signer.close()
    signer.close()


def test_a_session_that_has_gone_is_replaced(hsm: SoftHsm, signer: Pkcs11Signer, issued: Issued) -> None:
    scheme = S.ECDSA_SECP256R1_SHA256
    for _ in range(2):
        _log_out(hsm)
        verify(issued["p256"].chain[0], scheme, signer.sign(scheme, b"content"))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_has_a_session_of_its_own(signer: Pkcs11Signer, issued: Issued) -> None:
    """As workers that are forked after the configuration was made."""
    scheme = S.ECDSA_SECP256R1_SHA256
    signature = in_a_child(lambda: bytes(signer.sign_and_wait(scheme, b"content")))
    verify(issued["p256"].chain[0], scheme, signature)
    verify(issued["p256"].chain[0], scheme, signer.sign(scheme, b"content"))


def in_a_child(work: Callable[[], bytes]) -> bytes:
    """What it gives in a process that is forked now."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, work())
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as found:  # noqa: PTH123 - a descriptor
        data = found.read()
    os.waitpid(child, 0)
    return data


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_in_a_child_process_no_key_signs_for_another(hsm: SoftHsm, issued: Issued) -> None:
    """The library counts sessions and keys from 1 again: what one of them has found there is not the other's."""
    scheme = S.ECDSA_SECP256R1_SHA256
    order = ("p256", "other", "p256", "other", "other", "p256")
    other = new_key("p256")
    hsm.put(other, "other", 98, "another one")
    mine, theirs = hsm.uri(object="p256"), hsm.uri("another one", object="other")
    with Pkcs11Signer(mine, PIN) as first, Pkcs11Signer(theirs, PIN) as second:
        signers = {"p256": first, "other": second}
        made = in_a_child(
            lambda: b" ".join(bytes(signers[name].sign_and_wait(scheme, b"content")).hex().encode() for name in order)
        )
    keys = {"p256": parsed(issued["p256"].chain[0]).key, "other": other.public_key()}
    for name, signature in zip(order, made.split(), strict=True):
        signatures.verify(keys[name], scheme, bytes.fromhex(signature.decode()), b"content", signatures.SCHEMES)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_that_sees_no_token_at_first(
    hsm: SoftHsm, signer: Pkcs11Signer, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where many are forked at once, SoftHSM reads its folder in one while another one has it locked, and does not again."""
    from handfast.signers import tokens

    scheme = S.ECDSA_SECP256R1_SHA256
    library, blind = tokens._library, SimpleNamespace(get_tokens=list)

    def first(module: str) -> Any:
        real = library(module)
        return real if tokens._started[module][1] > before + 1 else blind

    def work() -> bytes:
        monkeypatch.setattr(tokens, "_library", first)
        monkeypatch.setattr(tokens, "_PAUSE", 0.0)
        with pytest.raises(KeyUnavailable):
            signer.sign_and_wait(scheme, b"content")
        return bytes(signer.sign_and_wait(scheme, b"content"))

    before = tokens._started[hsm.library][1]
    verify(issued["p256"].chain[0], scheme, in_a_child(work))


_AFTERWARDS = """
import ssl, sys
from handfast.signers import Pkcs11Signer
from handfast.testing import Authority
Pkcs11Signer(*sys.argv[1:]).close()
ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=Authority.create().der)
"""


def test_the_library_leaves_no_error_for_ssl(hsm: SoftHsm) -> None:
    """SoftHSM uses the same OpenSSL. A process of its own, since the library does it when it is loaded, and that is once."""
    command = [sys.executable, "-c", _AFTERWARDS, hsm.uri(object="p256"), PIN]
    done = subprocess.run(command, env=hsm.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


# --- a token that goes away ---------------------------------------------------------------------------------------------------


def test_a_token_that_goes_away_and_comes_back(
    hsm: SoftHsm, issued: Issued, authority: Authority, monkeypatch: Any
) -> None:
    from handfast.signers import tokens

    monkeypatch.setattr(tokens, "_PAUSE", 0.0)
    client = ClientConfig(trust=authority.trust)
    with Pkcs11Signer(hsm.uri(object="p256"), PIN) as signer:
        server = ServerConfig(identities=[Identity(issued["p256"].chain, signer)])
        pair(client, server, server_name="localhost")
        away = hsm.tokens.with_name("away")
        hsm.tokens.rename(away)
        hsm.tokens.mkdir()
        _log_out(hsm)  # the library sees what is in the folder when it is initialized
        try:
            with pytest.raises(TLSError) as caught:
                pair(client, server, server_name="localhost")
            assert isinstance(caught.value, KeyUnavailable)
            assert caught.value.reason is reasons.KEY_UNAVAILABLE
            assert caught.value.evidence == {
                "key": "pkcs11:token=handfast;object=p256",
                "problem": "there is no token like that",
            }
            assert caught.value.alert == 80  # internal_error: it is nobody's fault but ours
            assert_no_pin(caught.value)
        finally:
            hsm.tokens.rmdir()
            away.rename(hsm.tokens)
            _log_out(hsm)
        pair(client, server, server_name="localhost")


def test_nobody_looks_for_a_token_again_at_once(hsm: SoftHsm, signer: Pkcs11Signer, monkeypatch: Any) -> None:
    """To look may take long, with a network in between: not each handshake of a busy server has to."""
    from handfast.signers import tokens

    monkeypatch.setattr(tokens, "_PAUSE", 3600.0)
    looked: list[int] = []
    library = pkcs11.lib

    def gone(path: str) -> Any:
        looked.append(1)
        raise pkcs11.DeviceRemoved

    _log_out(hsm)
    monkeypatch.setattr(pkcs11, "lib", gone)
    for problem in ("device removed", "it was not there a moment ago", "it was not there a moment ago"):
        with pytest.raises(KeyUnavailable) as caught:
            signer.sign(S.ECDSA_SECP256R1_SHA256, b"content")
        assert caught.value.evidence["problem"] == problem
    assert len(looked) == 1
    monkeypatch.setattr(pkcs11, "lib", library)


def test_another_key_in_its_place_is_not_used(hsm: SoftHsm, monkeypatch: Any) -> None:
    hsm.token("changing")
    hsm.put(new_key("p256"), "key", 1, "changing")
    _log_out(hsm)
    with Pkcs11Signer(hsm.uri("changing", object="key"), PIN) as signer:
        hsm.run("--delete-token", "--token", "changing")
        hsm.token("changing")
        hsm.put(new_key("p384"), "key", 1, "changing")
        _log_out(hsm)
        with pytest.raises(KeyUnavailable, match="there is a key of another kind in its place"):
            signer.sign(S.ECDSA_SECP256R1_SHA256, b"content")


def test_what_the_token_refuses_for_good_is_not_tried_again(signer: Pkcs11Signer, monkeypatch: Any) -> None:
    key = signer._key
    tried: list[int] = []

    class Refusing:
        def sign(self, *_: Any, **__: Any) -> bytes:
            tried.append(1)
            raise pkcs11.MechanismInvalid

    monkeypatch.setattr(key, "_key", Refusing())
    with pytest.raises(KeyUnavailable) as caught:
        signer.sign(S.ECDSA_SECP256R1_SHA256, b"content")
    assert caught.value.reason is reasons.SIGNING_FAILED
    assert caught.value.evidence["problem"] == "mechanism invalid"
    assert len(tried) == 1


# --- in an event loop -----------------------------------------------------------------------------------------------------------


def test_it_is_made_in_a_thread_there(signer: Pkcs11Signer, issued: Issued) -> None:
    async def sign() -> list[bytes]:
        pending = [signer.sign(S.ECDSA_SECP256R1_SHA256, b"content") for _ in range(5)]
        assert not any(isinstance(item, bytes) for item in pending)
        return [await item for item in pending]  # type: ignore[misc]

    for signature in asyncio.run(sign()):
        verify(issued["p256"].chain[0], S.ECDSA_SECP256R1_SHA256, signature)


def test_an_identity_can_be_loaded_in_an_event_loop(chain: Path, signer: Pkcs11Signer, issued: Issued) -> None:
    async def load() -> Identity:
        return Identity.load(chain, signer)

    assert asyncio.run(load()).chain == issued["p256"].chain


# --- what is loaded ---------------------------------------------------------------------------------------------------------------


def test_the_certificate_of_the_key_is_found(hsm: SoftHsm, issued: Issued, tmp_path: Path) -> None:
    path = tmp_path / "heap.pem"
    path.write_bytes(b"".join(issued[kind].certificate_pem for kind in KINDS))
    for kind in KINDS:
        with Pkcs11Signer(hsm.uri(object=kind), PIN) as signer:
            assert Identity.load(path, signer).chain == issued[kind].chain


def test_a_key_of_another_certificate(hsm: SoftHsm, chain: Path, authority: Authority, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(authority.issue("localhost").certificate_pem)
    with Pkcs11Signer(hsm.uri(object="p256"), PIN) as signer, pytest.raises(ConfigurationError) as caught:
        Identity.load(other, signer)
    assert caught.value.reason is reasons.KEY_MISMATCH
    assert_no_pin(caught.value)


def test_a_uri_in_place_of_a_signer(chain: Path, hsm: SoftHsm) -> None:
    with pytest.raises(ConfigurationError, match=r"handfast\.signers\.Pkcs11Signer") as caught:
        Identity.load(chain, f"{hsm.uri(object='p256')}&pin-value={PIN}")
    assert_no_pin(caught.value)


def test_it_can_be_neither_copied_nor_shown(signer: Pkcs11Signer) -> None:
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(MisuseError):
            duplicate(signer)
    assert repr(signer) == "<Pkcs11Signer pkcs11:token=handfast;object=p256>"


def test_without_python_pkcs11(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "handfast.signers.tokens", raising=False)
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(ConfigurationError, match=r"pip install handfast\[pkcs11\]"):
        Pkcs11Signer(KeyUri.parse("pkcs11:object=x"))

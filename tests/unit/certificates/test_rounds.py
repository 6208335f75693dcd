"""Files that ask for more work than anybody waits for are refused before it begins; honest ones of all kinds load."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from handfast import limits, reasons
from handfast.authority.keys import load_key
from handfast.certificates import containers, loading, pem, rounds
from handfast.certificates.identity import Identity
from handfast.errors import ConfigurationError, TLSError
from handfast.testing import IssuedIdentity
from handfast.testing.chains import root
from handfast.transport.ssl_module import PROTOCOL_TLS_SERVER, SSLContext, SSLError
from tests.peers import require_peer

SECRET = "secret"
ROUNDS = 65_535  # which are three bytes in DER, as eight million are
FEW, MANY = b"\x02\x03\x00\xff\xff", b"\x02\x03\x7f\xff\xff"
MANY_ROUNDS = 8_388_607


@pytest.fixture(scope="module")
def issued() -> IssuedIdentity:
    return root().intermediate().issue("server.example")


@pytest.fixture(scope="module")
def folder(issued: IssuedIdentity, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rounds")
    issued.write(path)
    return path


def made(folder: Path, program: str, *arguments: str) -> bytes:
    """What ``program`` writes into the file out."""
    done = subprocess.run(
        [require_peer(program), *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return (folder / "out").read_bytes()


def key_of_openssl(folder: Path, *way: str, form: str = "DER") -> bytes:
    common = ("pkcs8", "-topk8", "-in", "server.key", "-outform", form, "-out", "out", "-passout", f"pass:{SECRET}")
    return made(folder, "openssl", *common, *way)


def pkcs12_of_openssl(folder: Path, *way: str) -> bytes:
    common = ("pkcs12", "-export", "-inkey", "server.key", "-in", "server.pem", "-out", "out")
    return made(folder, "openssl", *common, "-passout", f"pass:{SECRET}", *way)


def tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = (len(content).bit_length() + 7) // 8
    return bytes((tag, len(content)) if len(content) < 0x80 else (tag, 0x80 | size)) + (
        b"" if len(content) < 0x80 else len(content).to_bytes(size)
    ) + content  # fmt: skip


def number(value: int) -> bytes:
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1))


def named(name: str) -> bytes:
    return tlv(0x06, bytes.fromhex(name))


def pbkdf2(count: int, *more: bytes) -> bytes:
    return tlv(0x30, named("2a864886f70d01050c"), tlv(0x30, tlv(0x04, bytes(16)), number(count), *more))


def scrypt(n: int, r: int, p: int, *more: bytes) -> bytes:
    parameters = tlv(0x30, tlv(0x04, bytes(16)), number(n), number(r), number(p), *more)
    return tlv(0x30, named("2b06010401da47040b"), parameters)


def pbes2(derivation: bytes) -> bytes:
    aes = tlv(0x30, named("60864801650304012a"), tlv(0x04, bytes(16)))
    return tlv(0x30, named("2a864886f70d01050d"), tlv(0x30, derivation, aes))


def pbes1(name: str, count: int) -> bytes:
    return tlv(0x30, named(name), tlv(0x30, tlv(0x04, bytes(8)), number(count)))


def locked(algorithm: bytes) -> bytes:
    """An encrypted key, of which nobody has the password."""
    return tlv(0x30, algorithm, tlv(0x04, bytes(160)))


DATA, ENCRYPTED_DATA = "2a864886f70d010701", "2a864886f70d010706"
SHROUDED, NESTED = "2a864886f70d010c0a0102", "2a864886f70d010c0a0106"


def of_data(*parts: bytes) -> bytes:
    return tlv(0x30, named(DATA), tlv(0xA0, tlv(0x04, tlv(0x30, *parts))))


def pfx(*contents: bytes, mac: bytes = b"") -> bytes:
    return tlv(0x30, number(3), of_data(*contents), mac)


def bag(kind: str, value: bytes) -> bytes:
    return tlv(0x30, named(kind), tlv(0xA0, value))


def mac(algorithm: bytes, count: int) -> bytes:
    digest = tlv(0x30, algorithm, tlv(0x04, bytes(32)))
    return tlv(0x30, digest, tlv(0x04, bytes(16)), number(count))


SHA256 = tlv(0x30, named("608648016503040201"), tlv(0x05))
HMAC_SHA512 = tlv(0x30, named("2a864886f70d020b"), tlv(0x05))
SECRETS = tlv(0x30, named(DATA), pbes2(pbkdf2(4_000_000)), tlv(0x80, bytes(64)))

HUGE = (1 << 31) - 1
COSTLY_KEYS = {
    "PBKDF2": locked(pbes2(pbkdf2(HUGE))),
    "PBKDF2, with its hash": locked(pbes2(pbkdf2(HUGE, number(32), HMAC_SHA512))),
    "scrypt, time": locked(pbes2(scrypt(1 << 14, 8, 1 << 20))),
    "scrypt, memory": locked(pbes2(scrypt(1 << 24, 8, 1, number(32)))),
    "MD5 and DES": locked(pbes1("2a864886f70d010503", HUGE)),
    "SHA-1 and triple DES": locked(pbes1("2a864886f70d010c0103", HUGE)),
    "SHA-1 and RC2": locked(pbes1("2a864886f70d010c0106", HUGE)),
}
COSTLY_PKCS12 = {
    "its MAC": pfx(mac=mac(SHA256, HUGE)),
    "PBMAC1": pfx(mac=mac(tlv(0x30, named("2a864886f70d01050e"), tlv(0x30, pbkdf2(HUGE), HMAC_SHA512)), 1)),
    "a key": pfx(of_data(bag(SHROUDED, COSTLY_KEYS["PBKDF2"]))),
    "a key in a safe in a safe": pfx(of_data(bag(NESTED, tlv(0x30, bag(SHROUDED, COSTLY_KEYS["SHA-1 and RC2"]))))),
    "certificates": pfx(tlv(0x30, named(ENCRYPTED_DATA), tlv(0xA0, tlv(0x30, number(0), SECRETS))), mac=mac(SHA256, HUGE)),
    "much in many places": pfx(*[tlv(0x30, named(ENCRYPTED_DATA), tlv(0xA0, tlv(0x30, number(0), SECRETS)))] * 2),
}  # fmt: skip


def refused(load: object, *arguments: object) -> ConfigurationError:
    """What ``load`` raises, before it does what is asked: two thousand million rounds would take it minutes."""
    with pytest.raises(ConfigurationError) as caught:
        load(*arguments)  # type: ignore[operator]
    assert caught.value.reason is reasons.PASSWORD_TOO_SLOW
    return caught.value


def never() -> str:
    raise AssertionError("nobody is asked for the password of what is not opened")


@pytest.mark.parametrize("data", COSTLY_KEYS.values(), ids=list(COSTLY_KEYS))
def test_a_key_that_asks_for_too_much(issued: IssuedIdentity, data: bytes) -> None:
    for form in (data, pem.block("ENCRYPTED PRIVATE KEY", data)):
        error = refused(loading.private_key, form, never, "server.key")
        assert error.evidence["file"] == "server.key"
        assert error.evidence["most"] == "5,000,000"
    refused(Identity.from_pem, issued.certificate_pem, pem.block("ENCRYPTED PRIVATE KEY", data), SECRET)
    refused(load_key, pem.block("ENCRYPTED PRIVATE KEY", data), SECRET, "root.key")


@pytest.mark.parametrize("data", COSTLY_PKCS12.values(), ids=list(COSTLY_PKCS12))
def test_a_pkcs12_that_asks_for_too_much(data: bytes) -> None:
    assert loading.is_pkcs12(data)
    refused(loading.from_pkcs12, data, never, "server.p12")
    refused(containers.of_pkcs12, data, None, "server.p12")


def test_the_number_is_told() -> None:
    error = refused(loading.private_key, COSTLY_KEYS["PBKDF2"], SECRET, "server.key")
    assert error.evidence["rounds"] == "2,147,483,647"
    assert "too many rounds" in str(error)
    assert "-iter" in error.hint


def test_the_most_is_the_limit_and_no_more() -> None:
    most = limits.PASSWORD_ROUNDS
    rounds.check(locked(pbes2(pbkdf2(most))), "a key")
    refused(rounds.check, locked(pbes2(pbkdf2(most + 1))), "a key")
    rounds.check(pfx(of_data(bag(SHROUDED, locked(pbes2(pbkdf2(most - 5))))), mac=mac(SHA256, 5)), "a PKCS#12")
    refused(rounds.check, pfx(of_data(bag(SHROUDED, locked(pbes2(pbkdf2(most - 5))))), mac=mac(SHA256, 6)), "a PKCS#12")


def test_numbers_that_are_none_count_as_large_ones() -> None:
    below_zero = pbkdf2(HUGE).replace(b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00")
    for derivation in (below_zero, pbkdf2(1 << 1600), pbkdf2(1 << 63), scrypt(1 << 1600, 8, 1)):
        assert rounds.asked(pfx(of_data(bag(SHROUDED, locked(pbes2(derivation)))))) >= 1 << 31
        refused(rounds.check, locked(pbes2(derivation)), "a key")


@pytest.mark.parametrize("form", ["DER", "PEM"])
@pytest.mark.parametrize("way", [(), ("-v2prf", "hmacWithSHA512"), ("-v1", "PBE-SHA1-3DES")])
def test_keys_of_openssl(issued: IssuedIdentity, folder: Path, form: str, way: tuple[str, ...]) -> None:
    data = key_of_openssl(folder, *way, "-iter", str(ROUNDS), form=form)
    own = loading.private_key(data, SECRET, "server.key")
    assert Identity(issued.chain, own).chain == issued.chain
    der = data if form == "DER" else pem.blocks(data, "ENCRYPTED PRIVATE KEY").__next__().body
    if form == "DER":
        assert rounds.asked(der) == ROUNDS
        assert der.count(FEW) == 1
        error = refused(loading.private_key, der.replace(FEW, MANY), SECRET, "server.key")
        assert error.evidence["rounds"] == f"{MANY_ROUNDS:,}"


def test_a_key_by_scrypt(folder: Path) -> None:
    data = key_of_openssl(folder, "-scrypt", "-scrypt_N", "16384", "-scrypt_r", "8", "-scrypt_p", "2")
    assert rounds.asked(data) == 16_384 * 8 * 2
    assert loading.private_key(data, SECRET, "server.key")


@pytest.mark.parametrize(
    "way",
    [(), ("-legacy",), ("-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"), ("-certpbe", "NONE")],
    ids=["as OpenSSL 3 writes it", "as OpenSSL 1 and Windows write it", "triple DES", "certificates in the clear"],
)  # fmt: skip
def test_pkcs12_of_openssl(issued: IssuedIdentity, folder: Path, way: tuple[str, ...]) -> None:
    data = pkcs12_of_openssl(folder, *way, "-iter", str(ROUNDS))
    assert Identity.from_pkcs12(data, SECRET).chain == issued.chain
    places = data.count(FEW)
    assert places == (2 if "NONE" in way else 3)
    assert rounds.asked(data) == places * ROUNDS
    pieces = data.split(FEW)
    for place in range(1, places + 1):  # the certificates, the key, the MAC
        costly = FEW.join(pieces[:place]) + MANY + FEW.join(pieces[place:])
        assert rounds.asked(costly) == (places - 1) * ROUNDS + MANY_ROUNDS
        refused(loading.from_pkcs12, costly, SECRET, "server.p12")
        refused(containers.of_pkcs12, costly, SECRET, "server.p12")


def test_a_million_rounds_as_people_are_told_to_take(issued: IssuedIdentity, folder: Path) -> None:
    """The certificates, the key and the MAC have as many each."""
    data = pkcs12_of_openssl(folder, "-iter", "1000000")
    assert rounds.asked(data) == 3_000_000
    assert Identity.from_pkcs12(data, SECRET).chain == issued.chain


@pytest.mark.parametrize("cipher", ["aes-256", "3des-pkcs12", "rc2-40"])
def test_files_of_gnutls(issued: IssuedIdentity, folder: Path, cipher: str) -> None:
    common = (
        "--load-privkey",
        "server.key",
        "--password",
        SECRET,
        "--outder",
        "--pkcs-cipher",
        cipher,
        "--outfile",
        "out",
    )
    key = made(folder, "certtool", "--to-p8", *common)
    assert 1_000 < rounds.asked(key) < 1_000_000
    assert Identity(issued.chain, loading.private_key(key, SECRET, "server.key"))
    whole = made(folder, "certtool", "--to-p12", "--load-certificate", "server.pem", "--p12-name", "x", *common)
    assert 2_000 < rounds.asked(whole) < 3_000_000
    assert Identity.from_pkcs12(whole, SECRET).chain == issued.chain


@pytest.mark.parametrize(
    "way",
    [
        ("-keypbe", "AES-256-CBC", "-certpbe", "AES-256-CBC", "-macalg", "sha256", "-iter", "10000"),
        ("-legacy", "-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-RC2-40", "-macalg", "sha1", "-iter", "100000"),
    ],
    ids=["now", "before"],
)
def test_as_keytool_takes_it(issued: IssuedIdentity, folder: Path, way: tuple[str, ...]) -> None:
    assert Identity.from_pkcs12(pkcs12_of_openssl(folder, *way), SECRET).chain == issued.chain


def without_lengths(data: bytes, levels: int = 5) -> bytes:
    """The outer elements of a PKCS#12 as BER: of indefinite length, and the safe in pieces of a hundred bytes."""
    found, at = b"", 0
    while at < len(data):
        tag, first = data[at], data[at + 1]
        start = at + 2 + (first & 0x7F if first & 0x80 else 0)
        stop = start + (int.from_bytes(data[at + 2 : start]) if first & 0x80 else first)
        content = data[start:stop]
        if levels and tag == 0x04 and len(content) > 100:
            pieces = [tlv(0x04, content[n : n + 100]) for n in range(0, len(content), 100)]
            found += b"\x24\x80" + b"".join(pieces) + b"\0\0"
        elif levels and tag & 0x20 and len(content) > 200:
            found += bytes((tag, 0x80)) + without_lengths(content, levels - 1) + b"\0\0"
        else:
            found += data[at:stop]
        at = stop
    return found


def test_a_pkcs12_without_lengths_is_read_as_well(issued: IssuedIdentity, folder: Path) -> None:
    """As NSS and Bouncy Castle write it (X.690 section 8.1.3.6)."""
    data = pkcs12_of_openssl(folder, "-iter", str(ROUNDS))
    streamed = without_lengths(data)
    assert streamed[1] == 0x80
    assert b"\x24\x80" in streamed
    assert rounds.asked(streamed) == 3 * ROUNDS
    assert Identity.from_pkcs12(streamed, SECRET).chain == issued.chain
    refused(loading.from_pkcs12, without_lengths(data.replace(FEW, MANY)), SECRET, "server.p12")


def long(tag: int, *parts: bytes) -> bytes:
    """The same with the number of its tag in a byte of its own."""
    return bytes((tag | 0x1F, tag & 0x1F)) + tlv(tag, *parts)[1:]


SAFE = tlv(0x30, tlv(0x30, named(ENCRYPTED_DATA), tlv(0xA0, tlv(0x30, number(0), SECRETS))))


@pytest.mark.parametrize(
    "octets",
    [
        long(0x04, SAFE),
        long(0x04, SAFE).replace(b"\x1f\x04", b"\x1f\x80\x80\x04"),
        tlv(0x24, tlv(0x30, tlv(0x04, SAFE[:9]), tlv(0x02, SAFE[9:]))),
        b"\x24\x80\x30\x80" + tlv(0x0C, SAFE) + bytes(4),
        tlv(0x24, tlv(0xA0, tlv(0x2C, tlv(0x80, SAFE)))),
    ],
    ids=["a long tag", "a longer tag", "pieces of other kinds", "without lengths", "pieces in pieces"],
)
def test_octets_that_only_openssl_takes_for_such(octets: bytes) -> None:
    """It finds the safe in them, and counts: to see it, raise the limit."""
    data = tlv(0x30, number(3), tlv(0x30, named(DATA), tlv(0xA0, octets)))
    assert rounds.asked(data) == 4_000_000
    costly = data.replace(number(4_000_000), number(8_000_000))
    refused(loading.from_pkcs12, costly, SECRET, "server.p12")


def test_numbers_and_algorithms_with_long_tags() -> None:
    count = long(0x02, HUGE.to_bytes(4))
    sized = tlv(0x30, tlv(0x30, SHA256, tlv(0x04, bytes(32))), tlv(0x04, bytes(16)), count)
    derivation = tlv(0x30, named("2a864886f70d01050c"), tlv(0x30, tlv(0x04, bytes(16)), count))
    kind = tlv(0x30, long(0x06, bytes.fromhex("2a864886f70d010c0106")), tlv(0x30, tlv(0x04, bytes(8)), number(HUGE)))
    for data in (pfx(mac=sized), locked(pbes2(derivation)), locked(kind)):
        assert rounds.asked(data) == HUGE


def test_the_key_that_is_looked_at_is_the_one_that_is_opened(issued: IssuedIdentity, folder: Path) -> None:
    """The first in the file, whatever stands before and behind it, and however its lines are."""
    good = key_of_openssl(folder, "-iter", "2048", form="PEM")
    costly = pem.block("ENCRYPTED PRIVATE KEY", COSTLY_KEYS["PBKDF2"])
    assert Identity(issued.chain, loading.private_key(good + costly, SECRET, "a key"))
    for data in (
        costly + good,
        b"# " + costly + good,
        costly.replace(b"\n", b"\r\n"),
        costly.replace(b"-----\nM", b"-----\nComment: a word\n\nM"),
        issued.certificate_pem + costly,
    ):
        refused(loading.private_key, data, SECRET, "a key")
    crlf = issued.certificate_pem + good.replace(b"\n", b"\r\n")
    assert Identity.from_pem(crlf, crlf, SECRET).chain == issued.chain


def test_a_key_within_the_key_is_not_opened() -> None:
    """PEM that is the salt or content of what stands in PEM: it would be taken for the file."""
    costly = pem.block("ENCRYPTED PRIVATE KEY", COSTLY_KEYS["PBKDF2"])
    data = pem.block("ENCRYPTED PRIVATE KEY", tlv(0x30, pbes2(pbkdf2(1)), tlv(0x04, b"\n" + costly)))
    with pytest.raises(ConfigurationError, match="damaged") as caught:
        loading.private_key(data, SECRET, "server.key")
    assert caught.value.reason is reasons.NOT_A_KEY
    with pytest.raises(ConfigurationError):
        load_key(data, SECRET, "root.key")


def test_what_is_built_to_be_read_for_long_is_not() -> None:
    for data in (
        tlv(0x30, number(3), b"\x30\x80" * 100_000),
        tlv(0x30, number(3), b"\x05\x00" * 1_000_000),
        tlv(0x30, number(3), b"\x24\x80" * 40 + tlv(0x04, bytes(1 << 23))),
        tlv(0x30, number(3), b"\x1f" + bytes([0x80]) * (1 << 24) + b"\x04\x00"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            loading.from_pkcs12(data, SECRET, "a file")
        assert caught.value.reason is reasons.PASSWORD_TOO_SLOW


def test_what_is_broken_is_counted_up_to_there() -> None:
    whole = COSTLY_PKCS12["its MAC"]
    for length in range(len(whole)):
        assert rounds.asked(whole[:length]) >= 0
    assert rounds.asked(b"") == rounds.asked(b"\x30") == rounds.asked(b"\x1f\x80") == 0


def test_the_drop_in_does_not_hand_it_on(folder: Path) -> None:
    (folder / "costly.key").write_bytes(pem.block("ENCRYPTED PRIVATE KEY", COSTLY_KEYS["PBKDF2"]))
    with pytest.raises(SSLError, match="too many rounds") as caught:
        SSLContext(PROTOCOL_TLS_SERVER).load_cert_chain(folder / "server.pem", folder / "costly.key", SECRET)
    error = caught.value.handfast  # type: ignore[attr-defined]
    assert isinstance(error, TLSError)
    assert error.reason is reasons.PASSWORD_TOO_SLOW

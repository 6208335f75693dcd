"""Certificates changed by what they say: extensions, keys and names of every kind, such as RFC 5280 has them and such as not.

:mod:`fuzz.der` changes a certificate's structure, and most of what it makes is refused by a parser. What is made here can be
read, so that the checks behind the parser are reached.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fuzz import der
from fuzz.credentials import SERVER_NAME, authority_key, leaf_key
from fuzz.der import Element
from fuzz.target import Change
from handfast.testing.authority import subject_of

OID, NULL, BOOLEAN, INTEGER, BITS, OCTETS, SEQUENCE, SET, EXTENSIONS = 0x06, 5, 1, 2, 3, 4, 0x30, 0x31, 0xA3

NAME_CONSTRAINTS = bytes.fromhex("551d1e")
ALTERNATIVE_NAME = bytes.fromhex("551d11")
BASIC_CONSTRAINTS = bytes.fromhex("551d13")
KEY_USAGE = bytes.fromhex("551d0f")
EXTENDED_KEY_USAGE = bytes.fromhex("551d25")
POLICIES = bytes.fromhex("551d20")
AUTHORITY_KEY, SUBJECT_KEY = bytes.fromhex("551d23"), bytes.fromhex("551d0e")
ACCESS = bytes.fromhex("2b06010505070101")
DISTRIBUTION_POINTS = bytes.fromhex("551d1f")

SERVER_AUTH, CLIENT_AUTH = bytes.fromhex("2b06010505070301"), bytes.fromhex("2b06010505070302")
ANY_USAGE = bytes.fromhex("551d2500")

DNS, MAIL, URI, ADDRESS, DIRECTORY, OTHER, REGISTERED = 0x82, 0x81, 0x86, 0x87, 0xA4, 0xA0, 0x88
SPIFFE = b"spiffe://example.org/ns/web"


def element(tag: int, *contents: bytes) -> bytes:
    """One element of DER."""
    return Element(tag, b"".join(contents)).encode()


# --- general names ---------------------------------------------------------------------------------------------------

_DNS = (
    SERVER_NAME.encode(), b"*." + SERVER_NAME.encode(), b"*.example", b"example", b".example", b"", b"*", b"SERVER.Example",
    SERVER_NAME.encode() + b".", b"a." + SERVER_NAME.encode(), b"s*.example", b"*.*.example", b"evil.example",
    b"192.0.2.1", b"server.example\0.evil.example", b"xn--bcher-kva.example", b"invalid", b"a_b.example", b"\xff.example",
)  # fmt: skip
_MAIL = (b"a@server.example", b"a@example", b".example", b"example", b"@", b"", b'"a@b"@example', b"A@EXAMPLE")
_URI = (
    SPIFFE, b"spiffe://example.org", b"spiffe://server.example/service", b"spiffe://example.org/ns/../x", b"SPIFFE://example.org/ns/a",
    b"http://server.example/issuer.der", b"https://user@server.example:8443/x", b"ldap:///cn=a", b"urn:a", b".example", b"example", b"",
    b"http://[2001:db8::1]/", b"spiffe://example.org/ns/a?b#c",
)  # fmt: skip
_ADDRESS = (
    bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)), bytes((192, 0, 2, 0, 255, 255, 255, 0)), bytes(8), bytes(4), bytes(16), bytes(32),
    bytes((192, 0, 2, 0, 255, 0, 255, 0)), b"", bytes(5), bytes(12) + bytes((192, 0, 2, 1)), bytes(10) + b"\xff\xff\xc0\0\2\1",
)  # fmt: skip
_DIRECTORY = (subject_of(SERVER_NAME), subject_of("intermediate"), subject_of("root"))


def general_name(random: Random) -> bytes:
    """A name of any kind, right or wrong, and as a constraint or not."""
    tag = random.choice((DNS, DNS, DNS, DNS, ADDRESS, ADDRESS, MAIL, URI, URI, DIRECTORY, OTHER, REGISTERED))
    if tag == DIRECTORY:
        return element(DIRECTORY, _directory(random))
    if tag == OTHER:
        return element(
            OTHER, element(OID, bytes.fromhex("2b060104018237140203")), element(0xA0, element(0x0C, b"user"))
        )
    texts = {DNS: _DNS, ADDRESS: _ADDRESS, MAIL: _MAIL, URI: _URI, REGISTERED: (ANY_USAGE, SERVER_AUTH)}[tag]
    return element(tag, random.choice(texts))


def _directory(random: Random) -> bytes:
    whole = random.choice(_DIRECTORY).public_bytes()
    inner = (der.elements(whole) or [])[0].inner or []
    return element(SEQUENCE, *(each.encode() for each in inner[: random.randint(0, len(inner))]))


def general_names(random: Random) -> bytes:
    """Some of them, for a subjectAltName. Most have the name that is asked for."""
    wanted = [element(DNS, SERVER_NAME.encode())] if random.random() < 0.6 else []
    return b"".join(wanted + [general_name(random) for _ in range(random.choice((0, 1, 1, 2, 3, 9)))])


# --- extensions: their identifiers, and what makes a value ------------------------------------------------------------------


def _constraints(random: Random) -> bytes:
    def trees(tag: int) -> bytes:
        count = random.choice((0, 1, 1, 2, 5))
        made = (element(SEQUENCE, general_name(random)) for _ in range(count))
        return element(tag, *made) if count else b""

    return element(SEQUENCE, trees(0xA0), trees(0xA1))


def _basic(random: Random) -> bytes:
    ca = random.choice((b"", element(BOOLEAN, b"\xff"), element(BOOLEAN, b"\xff"), element(BOOLEAN, b"\0")))
    depth = random.choice((b"", b"", b"\0", b"\1", b"\x7f", b"\xff", b"\x01" + bytes(8)))
    return element(SEQUENCE, ca, element(INTEGER, depth) if depth else b"")


def _key_usage(random: Random) -> bytes:
    bits = random.choice((b"\x07\x80", b"\x01\x06", b"\x01\x86", b"\x05\x20", b"\x00", b"\x07\x00\x80", b"\x03\x08"))
    return element(BITS, bits)


def _usages(random: Random) -> bytes:
    known = (SERVER_AUTH, CLIENT_AUTH, ANY_USAGE, bytes.fromhex("2b06010505070309"))
    return element(SEQUENCE, *(element(OID, random.choice(known)) for _ in range(random.randint(0, 3))))


def _policies(random: Random) -> bytes:
    known = ("67810c010201", "67810c0101", "551d2000", "67810c010202")
    places = random.sample(known, random.randint(0, 3))
    notice = element(
        SEQUENCE, element(SEQUENCE, element(OID, bytes.fromhex("2b06010505070201")), element(0x16, b"http://a/"))
    )
    more = notice if random.random() < 0.3 else b""
    return element(SEQUENCE, *(element(SEQUENCE, element(OID, bytes.fromhex(each)), more) for each in places))


def _access(random: Random) -> bytes:
    methods = (
        bytes.fromhex("2b060105050730") + bytes((number,))
        for number in random.choices((1, 2, 2, 2, 3), k=random.randint(0, 5))
    )
    return element(SEQUENCE, *(element(SEQUENCE, element(OID, each), _place(random)) for each in methods))


def _place(random: Random) -> bytes:
    return general_name(random) if random.random() < 0.4 else element(URI, random.choice(_URI))


def _points(random: Random) -> bytes:
    def point() -> bytes:
        return element(SEQUENCE, element(0xA0, element(0xA0, general_name(random))))

    return element(SEQUENCE, *(point() for _ in range(random.randint(0, 3))))


def _authority_key(random: Random) -> bytes:
    name = element(0xA1, general_name(random)) if random.random() < 0.3 else b""
    serial = element(0x82, b"\1") if random.random() < 0.3 else b""
    return element(
        SEQUENCE,
        element(0x80, random.randbytes(random.choice((0, 1, 20)))) if random.random() < 0.6 else b"",
        name,
        serial,
    )


_VALUES: dict[bytes, Callable[[Random], bytes]] = {
    NAME_CONSTRAINTS: _constraints,
    ALTERNATIVE_NAME: lambda random: element(SEQUENCE, general_names(random)),
    BASIC_CONSTRAINTS: _basic,
    KEY_USAGE: _key_usage,
    EXTENDED_KEY_USAGE: _usages,
    POLICIES: _policies,
    ACCESS: _access,
    DISTRIBUTION_POINTS: _points,
    AUTHORITY_KEY: _authority_key,
    SUBJECT_KEY: lambda random: element(OCTETS, random.randbytes(random.choice((0, 20)))),
    bytes.fromhex("551d12"): lambda random: element(SEQUENCE, general_names(random)),  # issuerAltName
    bytes.fromhex("551d24"): lambda _: element(SEQUENCE, element(0x80, b"\0")),  # policyConstraints
    bytes.fromhex("551d36"): lambda _: element(INTEGER, b"\0"),  # inhibitAnyPolicy
    bytes.fromhex("2b06010505070118"): lambda _: element(SEQUENCE, element(INTEGER, b"\5")),  # TLS feature
    bytes.fromhex("2b06010401d679020403"): lambda _: element(NULL, b""),  # of a precertificate
    bytes.fromhex("2b060104018f0009"): lambda random: random.randbytes(4),  # nobody's
}
_OFTEN = (NAME_CONSTRAINTS, ALTERNATIVE_NAME, BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE, ACCESS)


def extension(random: Random, identifier: bytes | None = None) -> bytes:
    """An extension with a value that is made for it, critical or not."""
    chosen = identifier or random.choice((*_OFTEN, *_OFTEN, *_VALUES))
    critical = element(BOOLEAN, b"\xff") if random.random() < 0.4 else b""
    return element(SEQUENCE, element(OID, chosen), critical, element(OCTETS, _VALUES[chosen](random)))


# --- keys and names ----------------------------------------------------------------------------------------------------

# RFC 9500 section 2.3, testECCP256: everybody has its private half.
LEAKED = bytes.fromhex(
    "3059301306072a8648ce3d020106082a8648ce3d03010703420004"
    "422548f88fb782ffb5eca3744452c72a1e558fbd6f73be5e48e93232cc45c5b1"
    "6c4cd10c4cb8d5b8a17139e94882c8992572993425f41419ab7e90a42a494272"
)


@cache
def keys() -> tuple[bytes, ...]:
    """Keys (SubjectPublicKeyInfo) of many kinds: good, weak, leaked, and such as TLS does not know."""

    def info(
        public_key: rsa.RSAPublicKey | dsa.DSAPublicKey | ec.EllipticCurvePublicKey | ed448.Ed448PublicKey,
    ) -> bytes:
        return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def modulus(bits: int) -> int:
        return int.from_bytes(bytes((0xC0, *(7 * n & 0xFF for n in range(1, bits // 8 - 1)), 0x5B)))

    good = [rsa.RSAPublicNumbers(65_537, modulus(bits)).public_key() for bits in (1024, 2048)]
    small = rsa.RSAPublicNumbers(3, modulus(2048)).public_key()
    curves = [
        ec.derive_private_key(5, curve).public_key() for curve in (ec.SECP384R1(), ec.SECP192R1(), ec.SECP256K1())
    ]
    old = dsa.DSAPublicNumbers(4, dsa.DSAParameterNumbers((1 << 1023) + 1155, (1 << 159) + 91, 2))
    own = [authority_key("intermediate").public_key(), authority_key("second").public_key()]
    plain = element(SEQUENCE, element(SEQUENCE, element(OID, b"\x2b\x65\x70")), element(BITS, b"\0", bytes(32)))
    strange = element(SEQUENCE, element(SEQUENCE, element(OID, b"\x2a\x03\x04")), element(BITS, b"\0\1\2\3"))
    rsa_keys = [info(each) for each in (*good, small)]
    pss = [
        each.replace(bytes.fromhex("2a864886f70d010101"), bytes.fromhex("2a864886f70d01010a"), 1)
        for each in rsa_keys[1:]
    ]
    even = rsa_keys[1].replace(b"\x02\x03\x01\x00\x01", b"\x02\x03\x01\x00\x02")
    made = [*rsa_keys, *pss, even, *map(info, curves), *map(info, own), plain, strange, LEAKED]
    ours = leaf_key(SERVER_NAME).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return (*made, info(old.public_key()), ours)


_TIMES = (
    (0x17, b"300101000000Z"), (0x17, b"400101000000Z"), (0x17, b"350101000000Z"), (0x17, b"491231235959Z"), (0x17, b"500101000000Z"),
    (0x18, b"20300101000000Z"), (0x18, b"20500101000000Z"), (0x18, b"99991231235959Z"), (0x18, b"00010101000000Z"), (0x17, b"000101000000Z"),
)  # fmt: skip


# --- a change -------------------------------------------------------------------------------------------------------


def parts(certificate: bytes) -> tuple[list[Element], list[Element], list[Element]] | None:
    """The whole as a tree, the fields of what is signed, and the extensions; None where it is not made like that."""
    outer = der.elements(certificate)
    fields = outer[0].inner[0].inner if outer and outer[0].inner else None
    if not outer or not fields or len(fields) < 7:
        return None
    last = fields[-1]
    found = last.inner[0].inner if last.tag == EXTENSIONS and last.inner else None
    return outer, fields, found if found is not None else []


def mutated(certificate: bytes, limit: int, random: Random, change: Change) -> bytes:
    """A certificate that says something else; at most ``limit`` bytes. Its signature is wrong afterwards."""
    found = parts(certificate)
    kind = random.random()
    if found is None or kind < 0.25:
        return der.mutated(certificate, limit, random, change)
    outer, fields, extensions = found
    if kind < 0.75 and extensions:
        _change_extensions(extensions, limit - len(certificate), random, change)
    elif kind < 0.85:
        fields[6] = _tree(random.choice(keys()))
    elif kind < 0.92:
        fields[3 + random.choice((0, 2))] = _tree(
            random.choice((*(each.public_bytes() for each in _DIRECTORY), b"0\0"))
        )
    elif fields[4].inner:
        tag, text = random.choice(_TIMES)
        fields[4].inner[random.randrange(len(fields[4].inner))] = Element(tag, text)
    result = outer[0].encode()
    return result if len(result) <= limit else certificate[:limit]


def _change_extensions(extensions: list[Element], room: int, random: Random, change: Change) -> None:
    at = random.randrange(len(extensions))
    kind = random.random()
    parts_of = extensions[at].inner or []
    if kind < 0.35:
        extensions.insert(at, _tree(extension(random)))
    elif kind < 0.6:
        identifier = parts_of[0].content if parts_of else b""
        extensions[at] = _tree(extension(random, identifier if identifier in _VALUES else None))
    elif kind < 0.7:
        del extensions[at]
    elif kind < 0.8 and len(parts_of) > 1:
        if parts_of[1].tag == BOOLEAN:
            del parts_of[1]
        else:
            parts_of.insert(1, Element(BOOLEAN, b"\xff"))
    elif parts_of:
        value = parts_of[-1].encode()
        changed = der.mutated(value, max(16, len(value) + room), random, change)
        parts_of[-1] = _tree(changed) if der.elements(changed) else Element(OCTETS, changed)


def _tree(data: bytes) -> Element:
    return (der.elements(data) or [Element(NULL, b"")])[0]

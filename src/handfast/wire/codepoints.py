"""The registries of RFC 9847 as open sets: code points are plain ints, and these classes name the ones we know.

A closed enum would break on GREASE (RFC 8701) and on whatever is assigned tomorrow; here unknown values survive and are
shown as numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class Registry:
    """Base of the registries below: class attributes in capitals are code points."""

    WIDTH = 2  # bytes of a code point
    LOWER = False  # whether the RFC writes its names in small letters
    _SPELLED: ClassVar[Mapping[str, str]] = {}  # names that Python cannot spell as the RFC does
    _names: ClassVar[Mapping[int, str]] = {}

    def __init_subclass__(cls) -> None:
        cls._names = {
            value: cls._SPELLED.get(name, name.lower() if cls.LOWER else name)
            for name, value in vars(cls).items()
            if name.isupper() and name not in ("WIDTH", "LOWER") and isinstance(value, int)
        }

    @classmethod
    def name(cls, value: int) -> str:
        """The RFC's name of ``value``; "GREASE(0x0a0a)" or "0x1234" where it has none."""
        if value in cls._names:
            return cls._names[value]
        text = f"0x{value:0{2 * cls.WIDTH}x}"
        return f"GREASE({text})" if cls.WIDTH == 2 and is_grease(value) else text

    @classmethod
    def value(cls, name: str) -> int | None:
        """The code point called ``name``, in any case of letters; None if there is none."""
        wanted = name.lower()
        return next((value for value, known in cls._names.items() if known.lower() == wanted), None)

    @classmethod
    def names(cls) -> Mapping[int, str]:
        """All code points that have a name."""
        return cls._names


def is_grease(value: int) -> bool:
    """Whether ``value`` is one of the sixteen two-byte values that RFC 8701 reserves: 0x0a0a, 0x1a1a, ... 0xfafa."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


class ContentType(Registry):
    """RFC 9846 section 5.1."""

    WIDTH = 1
    LOWER = True
    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


class ProtocolVersion(Registry):
    """RFC 9846 section 4.2.2, and the versions before."""

    SSL_2_0 = 0x0002
    SSL_3_0 = 0x0300
    TLS_1_0 = 0x0301
    TLS_1_1 = 0x0302
    TLS_1_2 = 0x0303
    TLS_1_3 = 0x0304
    _SPELLED: ClassVar[Mapping[str, str]] = {
        "SSL_2_0": "SSLv2",
        "SSL_3_0": "SSLv3",
        "TLS_1_0": "TLSv1.0",
        "TLS_1_1": "TLSv1.1",
        "TLS_1_2": "TLSv1.2",
        "TLS_1_3": "TLSv1.3",
    }


class HandshakeType(Registry):
    """RFC 9846 section 4; the types of TLS 1.2 (RFC 5246 section 7.4) are there to be named in errors."""

    WIDTH = 1
    LOWER = True
    HELLO_REQUEST = 0
    CLIENT_HELLO = 1
    SERVER_HELLO = 2
    NEW_SESSION_TICKET = 4
    END_OF_EARLY_DATA = 5
    ENCRYPTED_EXTENSIONS = 8
    CERTIFICATE = 11
    SERVER_KEY_EXCHANGE = 12
    CERTIFICATE_REQUEST = 13
    SERVER_HELLO_DONE = 14
    CERTIFICATE_VERIFY = 15
    CLIENT_KEY_EXCHANGE = 16
    FINISHED = 20
    CERTIFICATE_STATUS = 22
    KEY_UPDATE = 24
    COMPRESSED_CERTIFICATE = 25
    MESSAGE_HASH = 254


class AlertDescription(Registry):
    """RFC 9846 section 6; the alerts of older versions are there to be named."""

    WIDTH = 1
    LOWER = True
    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    DECRYPTION_FAILED = 21
    RECORD_OVERFLOW = 22
    DECOMPRESSION_FAILURE = 30
    HANDSHAKE_FAILURE = 40
    NO_CERTIFICATE = 41
    BAD_CERTIFICATE = 42
    UNSUPPORTED_CERTIFICATE = 43
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    EXPORT_RESTRICTION = 60
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    INAPPROPRIATE_FALLBACK = 86
    USER_CANCELED = 90
    NO_RENEGOTIATION = 100
    MISSING_EXTENSION = 109
    UNSUPPORTED_EXTENSION = 110
    CERTIFICATE_UNOBTAINABLE = 111
    UNRECOGNIZED_NAME = 112
    BAD_CERTIFICATE_STATUS_RESPONSE = 113
    BAD_CERTIFICATE_HASH_VALUE = 114
    UNKNOWN_PSK_IDENTITY = 115
    CERTIFICATE_REQUIRED = 116
    GENERAL_ERROR = 117
    NO_APPLICATION_PROTOCOL = 120
    ECH_REQUIRED = 121


class ExtensionType(Registry):
    """RFC 9846 section 4.3, and the extensions of TLS 1.2 that clients still send."""

    LOWER = True
    SERVER_NAME = 0
    MAX_FRAGMENT_LENGTH = 1
    STATUS_REQUEST = 5
    SUPPORTED_GROUPS = 10
    EC_POINT_FORMATS = 11
    SIGNATURE_ALGORITHMS = 13
    USE_SRTP = 14
    HEARTBEAT = 15
    APPLICATION_LAYER_PROTOCOL_NEGOTIATION = 16
    SIGNED_CERTIFICATE_TIMESTAMP = 18
    CLIENT_CERTIFICATE_TYPE = 19
    SERVER_CERTIFICATE_TYPE = 20
    PADDING = 21
    ENCRYPT_THEN_MAC = 22
    EXTENDED_MAIN_SECRET = 23
    COMPRESS_CERTIFICATE = 27
    RECORD_SIZE_LIMIT = 28
    DELEGATED_CREDENTIAL = 34
    SESSION_TICKET = 35
    PRE_SHARED_KEY = 41
    EARLY_DATA = 42
    SUPPORTED_VERSIONS = 43
    COOKIE = 44
    PSK_KEY_EXCHANGE_MODES = 45
    CERTIFICATE_AUTHORITIES = 47
    OID_FILTERS = 48
    POST_HANDSHAKE_AUTH = 49
    SIGNATURE_ALGORITHMS_CERT = 50
    KEY_SHARE = 51
    TRANSPARENCY_INFO = 52
    QUIC_TRANSPORT_PARAMETERS = 57
    TICKET_REQUEST = 58
    ECH_OUTER_EXTENSIONS = 0xFD00
    ENCRYPTED_CLIENT_HELLO = 0xFE0D
    RENEGOTIATION_INFO = 0xFF01


class CipherSuite(Registry):
    """RFC 9846 appendix B.4. A suite of TLS 1.3 names the AEAD and the hash; nothing else.

    Those of TLS 1.2 that clients still offer are there to be named.
    """

    TLS_AES_128_GCM_SHA256 = 0x1301
    TLS_AES_256_GCM_SHA384 = 0x1302
    TLS_CHACHA20_POLY1305_SHA256 = 0x1303
    TLS_AES_128_CCM_SHA256 = 0x1304
    TLS_AES_128_CCM_8_SHA256 = 0x1305
    TLS_EMPTY_RENEGOTIATION_INFO_SCSV = 0x00FF
    TLS_FALLBACK_SCSV = 0x5600
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 = 0xC02B
    TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 = 0xC02C
    TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 = 0xC02F
    TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 = 0xC030
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 = 0xCCA9
    TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 = 0xCCA8
    TLS_ECDHE_ECDSA_WITH_AES_128_CCM = 0xC0AC
    TLS_ECDHE_ECDSA_WITH_AES_256_CCM = 0xC0AD
    TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8 = 0xC0AE
    TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8 = 0xC0AF
    TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256 = 0xCCAA
    TLS_DHE_RSA_WITH_AES_128_GCM_SHA256 = 0x009E
    TLS_DHE_RSA_WITH_AES_256_GCM_SHA384 = 0x009F
    TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA = 0xC009
    TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA = 0xC00A
    TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA = 0xC013
    TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA = 0xC014
    TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256 = 0xC023
    TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384 = 0xC024
    TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256 = 0xC027
    TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384 = 0xC028
    TLS_DHE_RSA_WITH_AES_128_CBC_SHA = 0x0033
    TLS_DHE_RSA_WITH_AES_256_CBC_SHA = 0x0039
    TLS_DHE_RSA_WITH_AES_128_CBC_SHA256 = 0x0067
    TLS_DHE_RSA_WITH_AES_256_CBC_SHA256 = 0x006B
    TLS_RSA_WITH_AES_128_GCM_SHA256 = 0x009C
    TLS_RSA_WITH_AES_256_GCM_SHA384 = 0x009D
    TLS_RSA_WITH_AES_128_CBC_SHA = 0x002F
    TLS_RSA_WITH_AES_256_CBC_SHA = 0x0035
    TLS_RSA_WITH_AES_128_CBC_SHA256 = 0x003C
    TLS_RSA_WITH_AES_256_CBC_SHA256 = 0x003D


class NamedGroup(Registry):
    """RFC 9846 section 4.3.7, and the hybrids of draft-ietf-tls-ecdhe-mlkem."""

    SECP256R1 = 0x0017
    SECP384R1 = 0x0018
    SECP521R1 = 0x0019
    BRAINPOOLP256R1 = 0x001A
    BRAINPOOLP384R1 = 0x001B
    BRAINPOOLP512R1 = 0x001C
    X25519 = 0x001D
    X448 = 0x001E
    FFDHE2048 = 0x0100
    FFDHE3072 = 0x0101
    FFDHE4096 = 0x0102
    FFDHE6144 = 0x0103
    FFDHE8192 = 0x0104
    MLKEM512 = 0x0200
    MLKEM768 = 0x0201
    MLKEM1024 = 0x0202
    SECP256R1MLKEM768 = 0x11EB
    X25519MLKEM768 = 0x11EC
    SECP384R1MLKEM1024 = 0x11ED
    _SPELLED: ClassVar[Mapping[str, str]] = {
        "SECP256R1": "secp256r1",
        "SECP384R1": "secp384r1",
        "SECP521R1": "secp521r1",
        "BRAINPOOLP256R1": "brainpoolP256r1",
        "BRAINPOOLP384R1": "brainpoolP384r1",
        "BRAINPOOLP512R1": "brainpoolP512r1",
        "X25519": "x25519",
        "X448": "x448",
        "FFDHE2048": "ffdhe2048",
        "FFDHE3072": "ffdhe3072",
        "FFDHE4096": "ffdhe4096",
        "FFDHE6144": "ffdhe6144",
        "FFDHE8192": "ffdhe8192",
        "SECP256R1MLKEM768": "SecP256r1MLKEM768",
        "SECP384R1MLKEM1024": "SecP384r1MLKEM1024",
    }


class SignatureScheme(Registry):
    """RFC 9846 section 4.3.3, RFC 9881 (ML-DSA)."""

    LOWER = True
    RSA_PKCS1_SHA1 = 0x0201
    ECDSA_SHA1 = 0x0203
    RSA_PKCS1_SHA256 = 0x0401
    RSA_PKCS1_SHA384 = 0x0501
    RSA_PKCS1_SHA512 = 0x0601
    ECDSA_SECP256R1_SHA256 = 0x0403
    ECDSA_SECP384R1_SHA384 = 0x0503
    ECDSA_SECP521R1_SHA512 = 0x0603
    RSA_PSS_RSAE_SHA256 = 0x0804
    RSA_PSS_RSAE_SHA384 = 0x0805
    RSA_PSS_RSAE_SHA512 = 0x0806
    ED25519 = 0x0807
    ED448 = 0x0808
    RSA_PSS_PSS_SHA256 = 0x0809
    RSA_PSS_PSS_SHA384 = 0x080A
    RSA_PSS_PSS_SHA512 = 0x080B
    MLDSA44 = 0x0904
    MLDSA65 = 0x0905
    MLDSA87 = 0x0906

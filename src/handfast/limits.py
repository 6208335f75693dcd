"""Every cap on what a peer can make us hold or do.

Each has a test in tests/unit/test_limits.py. Sizes are bytes unless the name says otherwise.
"""

from __future__ import annotations

from typing import Final

# Handshake messages, by HandshakeType, header included (RFC 9846 section 4 allows 16 MiB for each). The ones that are
# missing here may have MESSAGE bytes.
MESSAGE: Final = 16_384
CLIENT_HELLO: Final = 131_072  # extensions are at most 65,535; post-quantum shares of several groups fit many times
SERVER_HELLO: Final = 20_480
ENCRYPTED_EXTENSIONS: Final = 65_540
CERTIFICATE: Final = 131_072
CERTIFICATE_REQUEST: Final = 65_540
CERTIFICATE_VERIFY: Final = 20_480  # an ML-DSA-87 signature has 4,627
NEW_SESSION_TICKET: Final = 65_540

CERTIFICATES_OF_A_CHAIN: Final = 16
EXTENSIONS_OF_A_MESSAGE: Final = 128
KEY_SHARES: Final = 32
PSK_IDENTITIES: Final = 32
SESSION_SECONDS: Final = 604_800  # no session lives longer than seven days (RFC 9846 section 4.7.1)
TICKETS_OPENED: Final = 4  # of one ClientHello: each may be a question to a store
TICKETS: Final = 16  # that a client may ask for
TICKETS_TAKEN: Final = 16  # of one connection: what comes after is ignored
STATE: Final = 16_384  # bytes of a session with the client's chain; a server keeps or seals no longer one
TICKET_OFFERED: Final = 32_768  # bytes: all extensions of a ClientHello have 65,535; a longer ticket is not kept
SESSIONS: Final = 1_000  # that a client keeps in memory: those of other servers make room
SESSIONS_IN_A_FILE: Final = 200  # likewise
SESSIONS_OF_A_SERVER: Final = 4  # that a client keeps: servers give two tickets at a time
STATES: Final = 20_000  # that a server keeps in memory
BINDERS: Final = 100_000  # that a guard remembers at a time
SEALS_OF_A_KEY: Final = (
    1 << 32
)  # and of a process: far below what random nonces of AES-GCM-SIV allow (RFC 8452 section 9)
STORE_REPLY: Final = 1 << 20  # bytes of one reply of a store: a state is short, and so are the few keys of a fleet
CODEPOINTS_OF_A_LIST: Final = 1_024  # groups, schemes, versions; cipher suites may be more
SERVER_NAME: Final = 255  # RFC 1035 section 3.1
ACCEPTED_CHAINS: Final = 128  # of one verifier
ACCEPTED_CHAIN: Final = 16_384  # a longer chain is not remembered
PATH_DEPTH: Final = 8  # intermediates between a certificate and its root
ISSUERS_TRIED: Final = 32  # in a search for a path: a hostile chain may have many of one name, an honest one has a few
COMPARISONS_OF_A_PATH: Final = 1 << 14  # of a name with a constraint, by our own checks; some ten milliseconds
# The same before the verifier is asked, in all ways together: no honest chain comes near it, and it takes some fifty
# milliseconds, as a thousand names below 260 constraints do.
COMPARISONS_OF_A_CHAIN: Final = 1 << 18
NAME_BYTES: Final = 4_096  # of a distinguished name: to write down a longer one takes longer than to verify a chain
RSA_BITS_MOST: Final = 8_192  # of a key that a peer sends: to use a longer one, or a longer exponent, takes too long
RSA_EXPONENT_BITS_MOST: Final = 33

# Of what makes a key of a password, all in a file together: one to three seconds with SHA-256 and SHA-512, twelve with the
# slowest hash there is. People are told to take a million for a key and for each part of a PKCS#12, which has three.
PASSWORD_ROUNDS: Final = 5_000_000

# Of a chain that an event loop waits for: no honest one has more, and all together take a millisecond or two. What has
# more is verified in a thread.
QUICK_CERTIFICATES: Final = 6
QUICK_BYTES: Final = 32_768  # four with ML-DSA-87 everywhere have 30,000; to parse more than that is slow by itself
QUICK_CERTIFICATE_BYTES: Final = 12_288  # one with ML-DSA-87 for key and signature has 7,500; names take up the rest
QUICK_EXTENSION_BYTES: Final = 6_144  # a hundred names have 2,500; to make objects of more takes milliseconds by itself
QUICK_RSA_BITS: Final = 4_096
QUICK_COMPARISONS: Final = 2_048
QUICK_STEPS: Final = 16  # from a certificate to one that may have issued it, in every way

# Of what is fetched because a certificate says so. How much, how long and from where is the FetchPolicy's.
ISSUER_ADDRESSES: Final = 4  # of a certificate that are tried
ISSUERS_OF_AN_ANSWER: Final = 32  # that are looked at
CONCURRENT_COMPLETIONS: Final = 16  # chains of one Fetcher
FETCH_URL: Final = 2_048  # characters; nobody needs more
FETCH_HEADERS: Final = 32_768  # bytes of status lines and headers
FETCH_ADDRESSES: Final = 4  # of a host that are tried

SIGNING_REQUEST: Final = 65_536  # bytes of what an authority is asked to sign (PKCS#10)
NAMES_OF_A_SIGNING_REQUEST: Final = 100

RECORD_SIZE_LIMIT: Final = 64  # the least that a peer may ask for (RFC 8449 section 4)
EMPTY_RECORDS_IN_A_ROW: Final = 32
CHANGE_CIPHER_SPECS: Final = 4  # a handshake has one, or two with a retry
EARLY_DATA_SKIPPED: Final = 16_384  # bytes of records that a server cannot read, since it takes no early data
WARNING_ALERTS: Final = 4
POST_HANDSHAKE_MESSAGES_WITHOUT_DATA: Final = 32

INPUT_HELD: Final = 1 << 20  # bytes received and not yet asked for, or held while a question is open
RECORDS_OF_A_KEY: Final = 23_726_566  # 2^24.5, RFC 9846 section 5.5; below that for AES-GCM

HANDSHAKE_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 2.0  # how long a failed connection is drained so that its alert arrives
CONCURRENT_HANDSHAKES: Final = 256  # of one blocking server
CONCURRENT_CONNECTIONS: Final = 1_024  # likewise

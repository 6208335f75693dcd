"""Which of CPython's tests fail with handfast, and why. Every other one passes, or is skipped as it is with ``ssl``."""

from __future__ import annotations

from typing import Final

BEHAVIOUR: Final = (
    "ContextTests",
    "MemoryBIOTests",
    "SSLObjectTests",
    "SimpleBackgroundTests",
    "TestPreHandshakeClose",
    "ThreadedTests",
)
"""The classes that ask how a context and a connection behave, rather than what OpenSSL's constants are."""

REASONS: Final = {
    "post-handshake": (
        "There is no authentication after the handshake: where CERT_REQUIRED or CERT_OPTIONAL say so, the client's "
        "certificate is asked for in the handshake, `post_handshake_auth` or not."
    ),
    "tls-unique": "tls-unique is not defined for TLS 1.3 (RFC 9266, section 3): None. OpenSSL gives a value all the same.",
    "finite-field": "There is no Diffie-Hellman over finite fields.",
    "revocation": "Revocation lists are not read yet: a context that asks for them refuses.",
    "chain": "A certificate alone is sent with its intermediates that are among the trusted ones; OpenSSL sends the root too.",
}

FAIL: Final = {
    "SimpleBackgroundTests.test_bio_handshake": "tls-unique",
    "TestPostHandshakeAuth.test_bpo37428_pha_cert_none": "post-handshake",
    "TestPostHandshakeAuth.test_internal_chain_server": "chain",
    "TestPostHandshakeAuth.test_pha_no_pha_client": "post-handshake",
    "TestPostHandshakeAuth.test_pha_optional": "post-handshake",
    "TestPostHandshakeAuth.test_pha_optional_nocert": "post-handshake",
    "TestPostHandshakeAuth.test_pha_required": "post-handshake",
    "ThreadedTests.test_crl_check": "revocation",
    "ThreadedTests.test_dh_params": "finite-field",
    "ThreadedTests.test_tls_unique_channel_binding": "tls-unique",
}

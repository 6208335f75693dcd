"""The flags of a test, and which of them we understand.

The runner starts the shim with Go's kind of flags: one dash, the value in the next argument. Each may be given for the
first connection alone (``-on-initial-``), for those after it (``-on-resume-``), or for what follows early data that was
not taken (``-on-retry-``).

Whatever is not in the table below is not implemented, and the test is answered with 89. Half of all tests are, so this
module imports nothing.
"""

SWITCH, NUMBER, NUMBERS, TEXT = "switch", "number", "numbers", "text"

TLS_1_2, TLS_1_3 = 0x0303, 0x0304

# Flags that take effect.
_UNDERSTOOD = {
    # who and where
    "server": SWITCH,
    "port": NUMBER,
    "ipv6": SWITCH,
    "shim-id": NUMBER,
    "is-handshaker-supported": SWITCH,
    "resume-count": NUMBER,
    # versions
    "min-version": NUMBER,
    "max-version": NUMBER,
    "no-tls13": SWITCH,
    "no-tls12": SWITCH,
    "expect-version": NUMBER,
    "cipher": TEXT,
    "renegotiate-freely": SWITCH,
    # our certificates
    "expect-selected-credential": NUMBER,
    "fail-cert-callback": SWITCH,
    "use-old-client-cert-callback": SWITCH,
    "use-early-callback": SWITCH,
    "fail-early-callback": SWITCH,
    "install-ddos-callback": SWITCH,
    "fail-ddos-callback": SWITCH,
    # the peer's
    "verify-peer": SWITCH,
    "require-any-client-certificate": SWITCH,
    "verify-fail": SWITCH,
    "use-custom-verify-callback": SWITCH,
    "expect-verify-result": SWITCH,
    "expect-peer-cert-file": TEXT,
    "expect-no-peer-cert": SWITCH,
    "use-client-ca-list": TEXT,
    "expect-client-ca-list": TEXT,
    "verify-prefs": NUMBERS,
    "expect-peer-verify-pref": NUMBERS,
    "expect-peer-signature-algorithm": NUMBER,
    # how the handshake goes
    "async": SWITCH,
    "implicit-handshake": SWITCH,
    "curves": NUMBERS,
    "key-shares": NUMBERS,
    "no-key-shares": SWITCH,
    "expect-curve-id": NUMBER,
    "expect-hrr": SWITCH,
    "expect-no-hrr": SWITCH,
    "expect-cipher": NUMBER,
    "expect-cipher-aes": NUMBER,
    "expect-secure-renegotiation": SWITCH,
    "expect-no-secure-renegotiation": SWITCH,
    "expect-certificate-types": TEXT,
    "expect-msg-callback": TEXT,
    "host-name": TEXT,
    "expect-server-name": TEXT,
    "expect-no-server-name": SWITCH,
    "advertise-alpn": TEXT,
    "expect-alpn": TEXT,
    "select-alpn": TEXT,
    "decline-alpn": SWITCH,
    "reject-alpn": SWITCH,
    "expect-advertised-alpn": TEXT,
    # sessions
    "no-ticket": SWITCH,
    "skip-ticket": SWITCH,
    "resumption-delay": NUMBER,
    "reverify-on-resume": SWITCH,
    "expect-session-miss": SWITCH,
    "expect-no-session": SWITCH,
    "expect-session-id": SWITCH,
    "expect-no-session-id": SWITCH,
    "expect-ticket-renewal": SWITCH,
    "expect-ticket-age-skew": NUMBER,
    # 0-RTT
    "enable-early-data": SWITCH,
    "expect-ticket-supports-early-data": SWITCH,
    "expect-accept-early-data": SWITCH,
    "expect-reject-early-data": SWITCH,
    "expect-no-offer-early-data": SWITCH,
    "expect-early-data-reason": TEXT,
    # data
    "shim-writes-first": SWITCH,
    "shim-initial-write": TEXT,
    "repeat-shim-initial-write": NUMBER,
    "write-different-record-sizes": SWITCH,
    "read-with-unfinished-write": SWITCH,
    "read-size": NUMBER,
    "shim-shuts-down": SWITCH,
    "check-close-notify": SWITCH,
    "key-update": SWITCH,
    "key-update-before-read": SWITCH,
    "export-keying-material": NUMBER,
    "export-label": TEXT,
    "export-context": TEXT,
    "use-export-context": SWITCH,
    "use-exporter-between-reads": SWITCH,
    "export-traffic-secrets": SWITCH,
    "tls-unique": SWITCH,
}

# Flags that ask for what we do anyway.
_NOTHING_TO_DO = {
    "trust-cert": TEXT,  # the runner's chains are not verified: path building is no part of these tests
    "no-tls1": SWITCH,
    "no-tls11": SWITCH,
    "server-preference": SWITCH,  # our default
    "expect-cipher-no-aes": NUMBER,  # for machines where AES is slow
    "use-ticket-callback": SWITCH,  # handfast's tickets are always made by a callback
    "use-ticket-aead-callback": SWITCH,
    "renew-ticket": SWITCH,  # a client of TLS 1.2 gets a new ticket whenever it uses one
    "expect-not-resumable-across-names": SWITCH,  # there is no such session
    "expect-extended-master-secret": SWITCH,  # there is no TLS 1.2 without it
    "forbid-renegotiation-after-handshake": SWITCH,
    "no-legacy-server-connect": SWITCH,  # refuses servers of TLS 1.2 without secure renegotiation
    "no-op-extra-handshake": SWITCH,  # there is one handshake, and it starts once
    "handshaker-path": TEXT,
}

# Flags that describe one of our certificates or keys: the default one, or after a -new-...-credential that one.
_OF_CREDENTIAL = {
    "cert-file": TEXT,
    "key-file": TEXT,
    "signing-prefs": NUMBERS,
    "must-match-issuer": SWITCH,
    "psk-importer-key": TEXT,
    "psk-importer-identity": TEXT,
    "psk-importer-context": TEXT,
    "psk-importer-sha256": SWITCH,
    "psk-importer-sha384": SWITCH,
}
_NEW_CREDENTIAL = {"new-x509-credential": SWITCH, "new-psk-credential": SWITCH}

_KINDS = {**_UNDERSTOOD, **_NOTHING_TO_DO, **_OF_CREDENTIAL, **_NEW_CREDENTIAL}
_EMPTY = {SWITCH: False, NUMBER: None, TEXT: None}


class Unimplemented(Exception):
    """This test asks for something that handfast does not have."""


class Credential:
    """A certificate of ours, or a key that the peer has too.

    ``signing_prefs``      the schemes to sign with, the preferred one first; empty for all that the key can do
    ``must_match_issuer``  it may only be used for a peer that names its issuer
    ``psk_importer_...``   the key that is to be imported (RFC 9258), in base64, with its name and context
    """

    def __init__(self):
        self.cert_file = None
        self.key_file = None
        self.signing_prefs = []
        self.must_match_issuer = False
        self.psk_importer_key = None
        self.psk_importer_identity = ""
        self.psk_importer_context = ""
        self.psk_importer_sha256 = False
        self.psk_importer_sha384 = False


class Options:
    """The flags of a connection, each an attribute; absent ones are False, None or an empty list.

    ``default``      the certificate that the flags describe before any -new-...-credential
    ``credentials``  those after, and keys, the preferred one first
    ``on_resume``    the flags of the connections that follow the first one
    ``on_retry``     those of what follows early data that was not taken
    """

    on_resume = None
    on_retry = None

    def __init__(self):
        self.default = Credential()
        self.credentials = []

    def __getattr__(self, name):
        """A flag that was not given."""
        flag = name.removesuffix("_").replace("_", "-")
        if flag not in _KINDS:
            raise AttributeError(name)
        kind = _KINDS[flag]
        return [] if kind is NUMBERS else _EMPTY[kind]

    def set(self, flag, value):
        """Take one flag."""
        if flag in _NEW_CREDENTIAL:
            self.credentials.append(Credential())
            return
        owner = self
        if flag in _OF_CREDENTIAL:
            owner = self.credentials[-1] if self.credentials else self.default
        name = "async_" if flag == "async" else flag.replace("-", "_")  # the one that is a keyword
        if _KINDS[flag] is NUMBERS:
            setattr(owner, name, [*getattr(owner, name), value])
        else:
            setattr(owner, name, value)

    @property
    def versions(self):
        """Those of ours that the flags allow, the lower one first."""
        at_least, at_most = self.min_version or TLS_1_2, self.max_version or TLS_1_3
        without = {TLS_1_2: self.no_tls12, TLS_1_3: self.no_tls13}
        return [version for version, left_out in without.items() if at_least <= version <= at_most and not left_out]


def parse(arguments):
    """The flags of the first connection, with those of the others. Raises Unimplemented for one that is not in the table."""
    initial, on_resume, on_retry = Options(), Options(), Options()
    every = [initial, on_resume, on_retry]
    owners = {"on-initial-": [initial], "on-resume-": [on_resume], "on-retry-": [on_retry], "on-shim-": every}
    rest = iter(arguments)
    for argument in rest:
        flag, prefix = _plain(argument, owners)
        if flag not in _KINDS:
            raise Unimplemented(argument)
        kind = _KINDS[flag]
        value = True if kind is SWITCH else next(rest)
        if kind in (NUMBER, NUMBERS):
            value = int(value)
        for options in owners.get(prefix, every):
            options.set(flag, value)
    initial.on_resume = on_resume
    on_resume.on_retry = on_retry
    for options in (initial, on_resume) if initial.resume_count else (initial,):
        _check(options)
    return initial


def _plain(argument, prefixes):
    """The flag without dash and prefix, and the prefix."""
    flag = argument.removeprefix("-")
    for prefix in prefixes:
        if flag.startswith(prefix):
            return flag.removeprefix(prefix), prefix
    return flag, ""


def _check(options):
    """What no single flag tells: tests of older versions, and keys without certificates."""
    if not options.versions or (options.expect_version or TLS_1_3) < TLS_1_2:
        raise Unimplemented("TLS 1.1 and older")
    for credential in (options.default, *options.credentials):
        if credential.key_file and not credential.cert_file:
            raise Unimplemented("raw public keys")

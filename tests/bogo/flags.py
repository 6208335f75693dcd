"""The flags of a test, and which of them we understand.

The runner starts the shim with Go's kind of flags: one dash, the value in the next argument. Each may be given for the
first connection alone (``-on-initial-``), for those after it (``-on-resume-``), or for a second attempt (``-on-retry-``).

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
    "expect-no-session": SWITCH,
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
    "no-ticket": SWITCH,
    "expect-extended-master-secret": SWITCH,  # there is no TLS 1.2 without it
    "forbid-renegotiation-after-handshake": SWITCH,
    "no-legacy-server-connect": SWITCH,  # refuses servers of TLS 1.2 without secure renegotiation
    "no-op-extra-handshake": SWITCH,  # there is one handshake, and it starts once
    "handshaker-path": TEXT,
}

# Flags that describe one of our certificates: the default one, or after a -new-x509-credential that one.
_OF_CREDENTIAL = {"cert-file": TEXT, "key-file": TEXT, "signing-prefs": NUMBERS, "must-match-issuer": SWITCH}

_KINDS = {**_UNDERSTOOD, **_NOTHING_TO_DO, **_OF_CREDENTIAL, "new-x509-credential": SWITCH}
_EMPTY = {SWITCH: False, NUMBER: None, TEXT: None}


class Unimplemented(Exception):
    """This test asks for something that handfast does not have."""


class Credential:
    """A certificate of ours.

    ``signing_prefs``      the schemes to sign with, the preferred one first; empty for all that the key can do
    ``must_match_issuer``  it may only be used for a peer that names its issuer
    """

    def __init__(self):
        self.cert_file = None
        self.key_file = None
        self.signing_prefs = []
        self.must_match_issuer = False


class Options:
    """A test's flags, each an attribute; absent ones are False, None or an empty list.

    ``default``      the certificate that the flags describe before any -new-x509-credential
    ``credentials``  those after, the preferred one first
    """

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
        if flag == "new-x509-credential":
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
    """The flags of the first connection. Raises Unimplemented for a flag that is not in the table."""
    options = Options()
    rest = iter(arguments)
    for argument in rest:
        flag, applies = _plain(argument)
        if flag not in _KINDS:
            raise Unimplemented(argument)
        kind = _KINDS[flag]
        value = True if kind is SWITCH else next(rest)
        if kind in (NUMBER, NUMBERS):
            value = int(value)
        if applies:
            options.set(flag, value)
    _check(options)
    return options


def _plain(argument):
    """The flag without dash and prefix, and whether it is for the first connection."""
    flag = argument.removeprefix("-")
    for prefix, applies in (("on-initial-", True), ("on-shim-", True), ("on-resume-", False), ("on-retry-", False)):
        if flag.startswith(prefix):
            return flag.removeprefix(prefix), applies
    return flag, True


def _check(options):
    """What no single flag tells: tests of older versions, resumption, 0-RTT, and keys without certificates."""
    if not options.versions or (options.expect_version or TLS_1_3) < TLS_1_2:
        raise Unimplemented("TLS 1.1 and older")
    if options.resume_count:
        raise Unimplemented("resumption")
    if options.expect_early_data_reason not in (None, "disabled"):
        raise Unimplemented("0-RTT")
    for credential in (options.default, *options.credentials):
        if credential.key_file and not credential.cert_file:
            raise Unimplemented("raw public keys")

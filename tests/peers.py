"""The TLS programs that nobody here wrote, and where they are on this machine.

::

    openssl = require_peer("openssl")
    subprocess.Popen([openssl, "s_server", ...])

A test whose peer is missing is skipped by name. With CI=true it fails: there the set-up has to be complete.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

# What is run -> what installs it. scripts/peers.sh installs the packages of the system, pyproject.toml the others.
PEERS = {
    "certtool": "apt-get install gnutls-bin",
    "certutil": "apt-get install libnss3-tools",
    "chromium": "apt-get install chromium",
    "curl": "apt-get install curl",
    "dovecot": "apt-get install dovecot-core",
    "exim4": "apt-get install exim4-daemon-light",
    "gnutls-cli": "apt-get install gnutls-bin",
    "gnutls-serv": "apt-get install gnutls-bin",
    "go": "make venv",
    "imap-login": "apt-get install dovecot-imapd",
    "initdb": "apt-get install postgresql",
    "java": "apt-get install default-jdk-headless",
    "javac": "apt-get install default-jdk-headless",
    "lmtp": "apt-get install dovecot-lmtpd",
    "managesieve-login": "apt-get install dovecot-managesieved",
    "mariadbd": "apt-get install mariadb-server",
    "microsocks": "apt-get install microsocks",
    "nginx": "apt-get install nginx-light",
    "nnrpd": "apt-get install inn2",
    "openssl": "apt-get install openssl",
    "pk12util": "apt-get install libnss3-tools",
    "pop3-login": "apt-get install dovecot-pop3d",
    "postgres": "apt-get install postgresql",
    "prosody": "apt-get install prosody",
    "redis-server": "apt-get install redis-server",
    "setpriv": "apt-get install util-linux",
    "slapd": "apt-get install slapd",
    "softhsm2-util": "apt-get install softhsm2",
    "tinyproxy": "apt-get install tinyproxy-bin",
    "tstclnt": "apt-get install libnss3-tools",
    "vsftpd": "apt-get install vsftpd",
}

# The environment's own programs come first; a plain user's PATH has no sbin, where Debian has nginx, and nobody's has
# the directories that PostgreSQL, Dovecot and INN have for themselves.
_PLACES = os.pathsep.join(
    [
        str(Path(sys.executable).parent),
        os.environ.get("PATH", os.defpath),
        "/usr/sbin",
        *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)),
        "/usr/lib/dovecot",
        "/usr/lib/news/bin",
    ]
)


def find_peer(name: str) -> str | None:
    """The path of a peer's program; None if it is not on this machine."""
    if name not in PEERS:
        raise ValueError(f"{name!r} is no peer; known: {', '.join(PEERS)}")
    return shutil.which(name, path=_PLACES)


def require_peer(name: str) -> str:
    """The path of a peer's program. Without it the test is skipped, and with CI=true it fails."""
    path = find_peer(name)
    if path is not None:
        return path
    raise missing(f"{name} is not on this machine: {PEERS[name]}")


def missing(sentence: str) -> BaseException:
    """To be raised where something that a test needs is not there: the test is skipped, and with CI=true it fails."""
    return pytest.fail.Exception(sentence) if in_ci() else pytest.skip.Exception(sentence)


def in_ci() -> bool:
    """Whether this run is the one that decides, and nothing may be skipped."""
    return os.environ.get("CI", "").lower() == "true"

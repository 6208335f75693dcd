"""The protocols by their names."""

from __future__ import annotations

from typing import Final

from handfast.errors import ConfigurationError
from handfast.transport.starttls.databases import MySQL, PostgreSQL, PostgreSQLDirect
from handfast.transport.starttls.dialogue import Protocol
from handfast.transport.starttls.ldap import LDAP
from handfast.transport.starttls.mailboxes import IMAP, POP3, ManageSieve
from handfast.transport.starttls.replies import FTP, LMTP, NNTP, SMTP
from handfast.transport.starttls.xmpp import XMPP, XMPPServer

_PROTOCOLS: Final[tuple[type[Protocol], ...]] = (
    SMTP,
    LMTP,
    IMAP,
    POP3,
    ManageSieve,
    FTP,
    NNTP,
    XMPP,
    XMPPServer,
    LDAP,
    PostgreSQL,
    PostgreSQLDirect,
    MySQL,
)
PROTOCOLS: Final = {kind.name: kind for kind in _PROTOCOLS}
"""Name -> protocol."""

_ALIASES: Final = {
    "xmpp-client": "xmpp",
    "postgresql": "postgres",
    "mariadb": "mysql",
    "managesieve": "sieve",
}


def protocol(name: object) -> Protocol:
    """The protocol of this name, with its usual settings. Raises ConfigurationError if there is none."""
    known = name.lower() if isinstance(name, str) else ""  # starttls=True is tried, too
    kind = PROTOCOLS.get(_ALIASES.get(known, known))
    if kind is None:
        raise ConfigurationError(
            setting="starttls", value=name, problem=f"no such protocol; known: {', '.join(PROTOCOLS)}"
        )
    return kind()

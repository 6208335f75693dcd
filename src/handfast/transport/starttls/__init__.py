"""TLS in the middle of a connection: what is said before, in each protocol that begins in plain text (STARTTLS).

::

    with handfast.connect("mail.example.com", 587, starttls="smtp") as tls:
        print(tls.handshake)

    reader, writer = await handfast.aio.open_connection("db.example.com", 5432, starttls="postgres")

``starttls`` is the name of a protocol; a protocol with settings of its own, ``XMPP(domain="example.com")``; or a
:class:`Dialogue`, which tells afterwards what was said. The names are the keys of :data:`PROTOCOLS`. A dialogue can be
used by itself, too, over whatever carries bytes.

A server that does not offer TLS, or does not agree, is an error: nothing ever goes on in plain text.
"""

from handfast.transport.starttls.databases import MySQL, PostgreSQL, PostgreSQLDirect
from handfast.transport.starttls.dialogue import Dialogue, Protocol, Said, Script, Talk
from handfast.transport.starttls.ldap import LDAP
from handfast.transport.starttls.mailboxes import IMAP, POP3, ManageSieve
from handfast.transport.starttls.protocols import PROTOCOLS, protocol
from handfast.transport.starttls.replies import FTP, LMTP, NNTP, SMTP
from handfast.transport.starttls.xmpp import XMPP, XMPPServer

__all__ = [
    "FTP",
    "IMAP",
    "LDAP",
    "LMTP",
    "NNTP",
    "POP3",
    "PROTOCOLS",
    "SMTP",
    "XMPP",
    "Dialogue",
    "ManageSieve",
    "MySQL",
    "PostgreSQL",
    "PostgreSQLDirect",
    "Protocol",
    "Said",
    "Script",
    "Talk",
    "XMPPServer",
    "protocol",
]

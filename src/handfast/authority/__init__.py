"""A certificate authority of one's own: in memory, or in a folder.

::

    from handfast.authority import AuthorityFolder

    authority = AuthorityFolder.create("ca", "Example", permit=["example.com"])
    identity = authority.issue("www.example.com")              # an Identity, ready for a ServerConfig

For tests there is :class:`handfast.testing.Authority`, which makes broken ones too.
"""

from handfast.authority.folder import AuthorityFolder
from handfast.authority.index import Entry
from handfast.authority.issued import IssuedIdentity
from handfast.authority.issuer import Authority
from handfast.authority.keys import KEY_KINDS
from handfast.authority.names import Limits
from handfast.authority.outputs import Outputs
from handfast.authority.requests import Request
from handfast.authority.revoked import WHY, Revoked

__all__ = [
    "KEY_KINDS",
    "WHY",
    "Authority",
    "AuthorityFolder",
    "Entry",
    "IssuedIdentity",
    "Limits",
    "Outputs",
    "Request",
    "Revoked",
]

"""What the users of handfast need to test their own TLS.

An authority in memory, chains that are broken on purpose, and connections that talk to each other in memory.

Nothing here is loaded by the rest of handfast.
"""

from handfast.testing.authority import Authority, IssuedIdentity
from handfast.testing.chains import BROKEN, GOOD, Case, chain
from handfast.testing.keys import KEY_KINDS
from handfast.testing.pairs import EntropyForTests, pair, pump

__all__ = [
    "BROKEN",
    "GOOD",
    "KEY_KINDS",
    "Authority",
    "Case",
    "EntropyForTests",
    "IssuedIdentity",
    "chain",
    "pair",
    "pump",
]

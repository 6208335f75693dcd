"""What the users of handfast need to test their own TLS: an authority in memory, and chains that are broken on purpose.

Nothing here is loaded by the rest of handfast.
"""

from handfast.testing.authority import Authority, IssuedIdentity
from handfast.testing.chains import BROKEN, GOOD, Case, chain
from handfast.testing.keys import KEY_KINDS

__all__ = ["BROKEN", "GOOD", "KEY_KINDS", "Authority", "Case", "IssuedIdentity", "chain"]

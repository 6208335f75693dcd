"""The names that --group and --suite take, and how their help lists them."""

from __future__ import annotations

from typing import Final

# What NIST calls the curves that TLS has other names for.
_ALIASES: Final = {"P-256": "secp256r1", "P-384": "secp384r1", "P-521": "secp521r1"}


def group(name: str) -> str:
    """TLS's name of a group, for NIST's; any other name as it is."""
    return _ALIASES.get(name.upper(), name)


def all_groups() -> str:
    """All groups that handfast knows, the best first, with their other names."""
    from handfast.crypto.groups import GROUPS
    from handfast.wire.codepoints import NamedGroup

    other = {name: alias for alias, name in _ALIASES.items()}
    names = map(NamedGroup.name, GROUPS)
    return ", ".join(f"{name} ({other[name]})" if name in other else name for name in names)


def all_suites() -> str:
    """All cipher suites that handfast knows, the best first."""
    from handfast.crypto.suites import SUITES

    return ", ".join(suite.name for suite in SUITES.values())

"""The names that --tls, --group, --suite and --starttls take, and how their help lists them."""

from __future__ import annotations

from typing import Any, Final

from handfast.errors import ConfigurationError

_VERSIONS: Final = ("1.2", "1.3")
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
    """All cipher suites that handfast knows, the best first: those of TLS 1.3, then those of TLS 1.2."""
    from handfast.crypto.suites import SUITES, SUITES_12

    return ", ".join(suite.name for suite in (*SUITES.values(), *SUITES_12.values()))


def all_protocols() -> str:
    """All protocols that can begin TLS in their midst."""
    from handfast.transport.starttls import PROTOCOLS

    return ", ".join(PROTOCOLS)


def versions(chosen: tuple[str, ...], groups: tuple[str, ...] = (), suites: tuple[str, ...] = ()) -> dict[str, Any]:
    """--tls as settings of a configuration: the lowest and the highest of the versions named, none if none is.

    Raises ConfigurationError where a version cannot be chosen, or where ``groups`` and ``suites`` are of other versions.
    """
    from handfast.profiles import version_of, why_not

    unknown = [name for name in chosen if version_of(name) is None]
    if unknown:
        why = why_not(unknown[0] if unknown[0].upper().startswith(("TLS", "SSL")) else f"TLSv{unknown[0]}")
        problem = f"{unknown[0]!r} cannot be used: {why or 'there is no such version'}"
        raise ConfigurationError(setting="--tls", problem=problem, known=list(_VERSIONS))
    ordered = sorted(chosen, key=lambda name: version_of(name) or 0)
    _check_algorithms([name[-3:] for name in ordered], groups, suites)
    return {"min_version": ordered[0], "max_version": ordered[-1]} if ordered else {}


def _check_algorithms(tls: list[str], groups: tuple[str, ...], suites: tuple[str, ...]) -> None:
    """Say which option leaves no version of TLS: a suite is of one version, and hybrid groups are of TLS 1.3."""
    left = set(tls or _VERSIONS)
    for setting, named in (("--suite", suites), ("--group", groups)):
        fitting = {version for name in named for version in _versions_of(name)} or left
        if not left & fitting:
            be = "is" if len(named) == 1 else "are"
            problem = (
                f"{', '.join(named)} {be} for TLS {min(fitting)}, and the other options leave TLS {min(left)} alone"
            )
            raise ConfigurationError(setting=setting, problem=problem)
        left &= fitting


def _versions_of(name: str) -> tuple[str, ...]:
    """The versions that a suite or group can be used in; both for an unknown one, which is refused elsewhere."""
    from handfast.crypto.groups import CLASSICAL_HALF
    from handfast.crypto.suites import SUITES, SUITES_12
    from handfast.wire.codepoints import CipherSuite, NamedGroup

    if CipherSuite.value(name) in SUITES or NamedGroup.value(name) in CLASSICAL_HALF:
        return ("1.3",)
    return ("1.2",) if CipherSuite.value(name) in SUITES_12 else _VERSIONS

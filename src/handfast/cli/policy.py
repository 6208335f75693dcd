"""What is asked of a peer's chain besides: --relax, --known-keys, --spiffe and --spiffe-trust, the same for all commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from handfast.certificates.leaked import BADKEYS, KeyList
from handfast.certificates.policy import Policy
from handfast.certificates.spiffe import AllowSpiffe
from handfast.certificates.store import TrustStore
from handfast.errors import ConfigurationError


def policy(
    relax: Sequence[str] = (),
    known_keys: Sequence[Path] = (),
    spiffe: Sequence[str] = (),
    domains: Mapping[str, TrustStore] | None = None,
) -> Policy:
    """What the options come to; ``domains``: the roots of --spiffe-trust. Raises ConfigurationError, naming option or file."""
    return Policy(relax, allow=_allowed(spiffe, domains), known_keys=_known(known_keys))


def _allowed(rules: Sequence[str], domains: Mapping[str, TrustStore] | None) -> AllowSpiffe | None:
    if not rules:
        if domains:
            raise ConfigurationError(setting="--spiffe-trust", problem="means nothing without --spiffe")
        return None
    try:
        return AllowSpiffe(*rules, trust=domains or None)
    except ConfigurationError as error:
        setting = "--spiffe-trust" if error.evidence.get("setting") == "trust" else "--spiffe"
        raise ConfigurationError(**error.evidence | {"setting": setting}) from None


def _known(lists: Sequence[Path]) -> KeyList | None:
    """The keys of these lists, and those that are built in: a list of one's own takes nothing away."""
    if not lists:
        return None
    loaded = sorted(map(_list, lists), key=len, reverse=True)  # to add a few to many is quick
    return sum((*loaded[1:], KeyList.built_in()), start=loaded[0])


def files_of(known_keys: Sequence[Path]) -> list[Path]:
    """The files of these lists, for whoever looks whether they have changed."""
    return [file for path in known_keys for file in ([path / name for name in BADKEYS] if path.is_dir() else [path])]


def _list(path: Path) -> KeyList:
    return KeyList.from_badkeys(path) if path.is_dir() else KeyList.load(path)

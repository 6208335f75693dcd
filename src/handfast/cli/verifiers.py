"""What decides about a server's chain, for `connect` and for `cert verify`: roots, rules, and --aia."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from handfast.certificates.aia import Completion
from handfast.certificates.fetch_policy import FetchPolicy
from handfast.certificates.policy import ChainVerifier, Policy, ServiceVerifier
from handfast.certificates.store import TrustStore
from handfast.errors import shown
from handfast.transport.fetching import Fetcher, FetchingVerifier

GIVEN: Final = "--ca"
"""What the roots are called that the command line names."""

_TOLD: Final = 5  # roots that are left out, before the rest is only counted


def roots(given: Sequence[Path]) -> TrustStore:
    """Those of --ca, each a file or a folder, or else those that the machine trusts. Raises ConfigurationError."""
    return TrustStore.from_paths(*given) if given else TrustStore.default()


def left_out(option: str, trust: TrustStore) -> list[str]:
    """The roots of what was given that cannot be read, or of which their file says that they are not for TLS: a line each."""
    places = [str(bad) if bad.file else f"{trust.source}, {bad}" for bad in trust.skipped]
    lines = [f"{option}: left out, {shown(place)}" for place in places[:_TOLD]]
    more = len(places) - len(lines)
    return [*lines, f"{option}: left out, {more} more"] if more else lines


def of_servers(trust: TrustStore, asked: Policy) -> ChainVerifier:
    """What verifies a server: by the name that was asked for, or with --spiffe by its id in place of that name."""
    return ChainVerifier(trust, asked) if asked.allow is None else ServiceVerifier(trust, asked)


def completing(
    verifier: ChainVerifier, *, aia: bool, networks: Sequence[str], on_done: Callable[[Completion], None]
) -> ChainVerifier | FetchingVerifier:
    """The same; with --aia, one that fetches for it the issuers that were not sent. Raises ConfigurationError."""
    if not aia:
        return verifier
    return FetchingVerifier(verifier, Fetcher(FetchPolicy(networks=networks)), on_done=on_done)

"""What decides about a server's chain, for `connect` and for `cert verify`: roots, rules, and --aia."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from handfast.certificates.aia import Completion
from handfast.certificates.fetch_policy import FetchPolicy
from handfast.certificates.policy import ChainVerifier, Policy, ServiceVerifier
from handfast.certificates.store import TrustStore
from handfast.transport.fetching import Fetcher, FetchingVerifier


def roots(files: Sequence[Path]) -> TrustStore:
    """Those of --ca, or else those that the machine trusts. Raises ConfigurationError."""
    return TrustStore.from_files(*files) if files else TrustStore.default()


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

"""What decides about a server's chain, for `connect` and for `cert verify`: roots, rules, and --aia."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from handfast.certificates.aia import Completion
from handfast.certificates.fetch_policy import FetchPolicy
from handfast.certificates.policy import ChainVerifier, Policy, ServiceVerifier
from handfast.certificates.spiffe import SCHEME, SpiffeId
from handfast.certificates.store import TrustStore
from handfast.errors import ConfigurationError, shown
from handfast.transport.fetching import Fetcher, FetchingVerifier

GIVEN: Final = "--ca"
"""What the roots are called that the command line names."""
OF_DOMAINS: Final = "--spiffe-trust"
"""The same where each trust domain has its own, and --ca names none."""

_TOLD: Final = 5  # roots that are left out, before the rest is only counted


Load = Callable[..., TrustStore]
"""What makes a store of files and folders."""


def roots(
    given: Sequence[Path], domains: Mapping[str, TrustStore] | None = None, load: Load | None = None
) -> TrustStore:
    """Those of --ca, each a file or a folder, and of the trust domains; or else those that the machine trusts.

    Raises ConfigurationError.
    """
    stores = [(load or TrustStore.from_paths)(*given)] if given else []
    stores += (domains or {}).values()
    if not stores:
        return TrustStore.default()
    return stores[0].union(*stores[1:]) if len(stores) > 1 else stores[0]


def of_domains(given: Sequence[str], load: Load | None = None) -> dict[str, TrustStore]:
    """The roots of each trust domain: --spiffe-trust DOMAIN=FILE, one or several for each. Raises ConfigurationError."""
    paths: dict[str, list[str]] = {}
    for text in given:
        domain, _, path = text.partition("=")
        domain = domain.removeprefix(SCHEME)
        try:
            if not path or SpiffeId.parse(SCHEME + domain).path:
                raise ValueError("is like example.org=bundle.pem: a trust domain, and its roots in a file or folder")
        except ValueError as error:
            raise ConfigurationError(setting=OF_DOMAINS, problem=str(error), value=text) from None
        paths.setdefault(domain, []).append(path)
    return {domain: (load or TrustStore.from_paths)(*its) for domain, its in paths.items()}


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

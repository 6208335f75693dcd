"""The one JSON object of `handfast cert --json`; docs/schema/cert.json describes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from handfast.certificates.facts import facts
from handfast.cli import report
from handfast.cli.lines import days_left
from handfast.cli.verifiers import GIVEN, OF_DOMAINS
from handfast.errors import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handfast.certificates.examined import Verdict
    from handfast.cli.cert_run import StoreVerdict, Verified
    from handfast.cli.cert_source import Source


def document(command: str, source: Source | None, verified: Verified | None) -> dict[str, Any]:
    """What was read, and with ``verified`` what came of it; null for what was not reached."""
    now = datetime.now(UTC) if verified is None else verified.now
    found: dict[str, Any] = {
        "command": command,
        "source": None if source is None else _source(source),
        "certificates": [],
    }
    if source is not None:
        found["certificates"] = _certificates(source, verified, now)
    if command == "verify":
        found["verified"] = None if verified is None else _verified(verified, found["certificates"])
    return found


def _source(source: Source) -> dict[str, Any]:
    return {
        "kind": source.kind,
        "name": shown(source.name),
        "version": source.version,
        "cut": source.cut,
        "handshake_error": None if source.failure is None else report.error(source.failure),
    }


def _certificates(source: Source, verified: Verified | None, now: datetime) -> list[dict[str, Any]]:
    """Those that came, then those that were fetched, then those of the trust store."""
    fetched = {} if verified is None else verified.fetched
    path = () if verified is None or verified.examination is None else verified.examination.path
    listed = [_certificate(der, now, {"where": "sent" if source.kind == "host" else source.kind, "number": number})
              for number, der in enumerate(source.chain, 1)]  # fmt: skip
    listed += [
        _certificate(der, now, {"where": "aia", "url": shown(url)})
        for der, url in fetched.items()
        if der not in source.chain
    ]
    listed += [
        _certificate(der, now, {"where": "store", "store": "" if verified is None else shown(verified.trust.source)})
        for der in path
        if der not in source.chain and der not in fetched
    ]
    return listed


def _certificate(der: bytes, now: datetime, found: dict[str, Any]) -> dict[str, Any]:
    about = facts(der)
    return {
        "subject": shown(about.subject),
        "issuer": shown(about.issuer),
        "serial": about.serial,
        "names": _texts(about.names),
        "key": shown(about.key),
        "signature": shown(about.signature),
        "not_before": about.not_before.isoformat(),
        "not_after": about.not_after.isoformat(),
        "days_left": days_left(about.not_after, now),
        "is_authority": about.is_authority,
        "path_length": about.path_length,
        "key_usage": None if about.key_usage is None else list(about.key_usage),
        "extended_key_usage": None if about.extended_usage is None else _texts(about.extended_usage),
        "name_constraints": _texts(about.constraints),
        "policies": _texts(about.policies),
        "validation": about.validation,
        "ca_issuers": _texts(about.issuers),
        "ocsp": _texts(about.ocsp),
        "crl": _texts(about.crls),
        "sha256": about.sha256,
        "key_sha256": about.key_sha256,
        "found": found,
    }


def _texts(values: Iterable[str]) -> list[str]:
    return [shown(value) for value in values]


def _verified(verified: Verified, certificates: list[dict[str, Any]]) -> dict[str, Any]:
    seen = verified.examination
    given = any(says.name in (GIVEN, OF_DOMAINS) for says in verified.stores)
    numbers = {item["sha256"]: number for number, item in reversed(list(enumerate(certificates)))}
    return {
        "accepted": verified.identity is not None,
        "purpose": verified.purpose,
        "name": verified.name,
        "at": verified.now.isoformat(timespec="seconds"),
        "path": [] if seen is None else [numbers[facts(der).sha256] for der in seen.path],
        "checks": [] if seen is None else [_check(verdict, given) for verdict in seen.verdicts],
        "surplus": [] if seen is None else report.surplus(seen.surplus),
        "trust": [_store(says) for says in verified.stores],
        "fetches": report.fetches([] if verified.completion is None else verified.completion.attempts),
    }


def _check(verdict: Verdict, given: bool) -> dict[str, Any]:
    return {
        "check": verdict.check,
        "passed": verdict.passed,
        "error": None if verdict.error is None else report.error(verdict.error, given=given),
    }


def _store(says: StoreVerdict) -> dict[str, Any]:
    return {
        "store": says.name,
        "source": None if says.store is None else shown(says.store.source),
        "roots": None if says.store is None else len(says.store),
        "accepted": says.store is not None and says.error is None,
        "root": None if says.root is None else shown(facts(says.root).subject),
        "error": None if says.error is None else report.error(says.error, given=says.name in (GIVEN, OF_DOMAINS)),
    }

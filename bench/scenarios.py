"""What is measured, and with whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from statistics import median
from typing import Any, cast

from bench import credentials
from bench.measure import Effort, alternate, ratio
from bench.peers import HYBRID, X25519, Peer, Task, Unavailable

# The columns of the result, and the module of each.
PEERS = {
    "handfast": "handfast",
    "ssl": "stdlib_ssl",
    "openssl4": "pyopenssl",
    "tlslite": "tlslite",
    "aioquic": "aioquic_tls",
    "floor": "floor",
}
RATIOS = ("ssl", "openssl4", "floor")

MEBIBYTE = 1 << 20
RECORDS = 1000

# From seconds a handshake, a byte or a record.
UNITS: dict[str, Callable[[float], float]] = {
    "us": lambda seconds: seconds * 1e6,
    "MB/s": lambda seconds: 1e-6 / seconds,
    "records/s": lambda seconds: 1 / seconds,
}


@dataclass(frozen=True)
class Scenario:
    """``title`` says what is done, ``task`` what a peer does of it."""

    name: str
    title: str
    unit: str
    task: Callable[[Peer], Task]


def scenarios() -> list[Scenario]:
    """All of them; certificates are made here."""
    p256, rsa = credentials.p256(), credentials.rsa2048()
    return [
        Scenario("full_13", "handshake, X25519, P-256", "us", lambda peer: peer.handshake(p256, X25519)),
        Scenario("full_13_rsa", "handshake, X25519, RSA-2048", "us", lambda peer: peer.handshake(rsa, X25519)),
        Scenario("full_13_mlkem", "handshake, X25519MLKEM768, P-256", "us", lambda peer: peer.handshake(p256, HYBRID)),
        # One large answer: written at once, carried at once, then read.
        Scenario("bulk_1m", "1 MiB in one write", "MB/s", lambda peer: peer.bulk(p256, MEBIBYTE, MEBIBYTE)),
        # A steady stream: four full records at a time.
        Scenario("bulk_64m", "64 MiB, 64 KiB a write", "MB/s", lambda peer: peer.bulk(p256, 64 * MEBIBYTE, 1 << 16)),
        Scenario("records_100b", "records of 100 bytes", "records/s", lambda peer: peer.records(p256, RECORDS, 100)),
    ]


def measure(scenario: Scenario, peers: dict[str, Peer], effort: Effort) -> tuple[dict[str, Any], dict[str, str]]:
    """The entry of a scenario in the result, and for each peer without a figure the reason."""
    tasks: dict[str, Task] = {}
    missing: dict[str, str] = {}
    for name, peer in peers.items():
        try:
            tasks[name] = scenario.task(peer)
        except Unavailable as why:
            missing[name] = str(why)
    times = alternate(tasks, effort)
    convert = UNITS[scenario.unit]
    entry: dict[str, Any] = {name: round(convert(median(times[name])), 2) if name in times else None for name in PEERS}
    entry["unit"] = scenario.unit
    for name in RATIOS:
        both = "handfast" in times and name in times
        entry[f"ratio_{name}"] = round(ratio(times["handfast"], times[name]), 3) if both else None
    return entry, missing


def load_peers() -> tuple[dict[str, Peer], dict[str, str]]:
    """The peers that are installed, and for each of the others what is missing."""
    peers: dict[str, Peer] = {}
    missing: dict[str, str] = {}
    for name, module in PEERS.items():
        try:
            peers[name] = cast("Peer", import_module(f"bench.peers.{module}"))
        except ImportError as why:
            missing[name] = str(why)
    return peers, missing

"""What is measured, and with whom."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from statistics import median
from typing import Any, cast

from bench import credentials, http, streams
from bench.measure import Effort, alternate, ratio
from bench.peers import HYBRID, X25519, Peer, Task, Unavailable, resumption_of, streams_of, verification_of
from handfast.certificates.parsed import SMALL_CERTIFICATES

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
    "req/s": lambda seconds: 1 / seconds,
    "conn/s": lambda seconds: 1 / seconds,
    "KiB": float,
}


@dataclass(frozen=True)
class Scenario:
    """``title`` says what is done, ``task`` what a peer does of it; without a task it is memory that is measured."""

    name: str
    title: str
    unit: str
    task: Callable[[Peer], Task] | None


def scenarios() -> list[Scenario]:
    """All of them; certificates are made here."""
    p256, rsa = credentials.p256(), credentials.rsa2048()
    fresh = credentials.many(2 * SMALL_CERTIFICATES)  # more than are kept, so that none is known when it comes again
    public = credentials.public(2 * SMALL_CERTIFICATES)
    return [
        Scenario("full_13", "handshake, X25519, P-256", "us", lambda peer: peer.handshake(p256, X25519)),
        Scenario(
            "full_13_again",
            "the same, the chain seen before",
            "us",
            lambda peer: peer.handshake(p256, X25519, again=True),
        ),
        Scenario("full_13_rsa", "handshake, X25519, RSA-2048", "us", lambda peer: peer.handshake(rsa, X25519)),
        Scenario(
            "full_13_mutual",
            "handshake with a client certificate, X25519, P-256",
            "us",
            lambda peer: peer.handshake(p256, X25519, mutual=True),
        ),
        Scenario("full_13_mlkem", "handshake, X25519MLKEM768, P-256", "us", lambda peer: peer.handshake(p256, HYBRID)),
        Scenario("full_12", "TLS 1.2, X25519, P-256", "us", lambda peer: peer.handshake(p256, X25519, tls12=True)),
        Scenario(
            "full_12_again",
            "the same, the chain seen before",
            "us",
            lambda peer: peer.handshake(p256, X25519, tls12=True, again=True),
        ),
        Scenario(
            "full_12_rsa", "TLS 1.2, X25519, RSA-2048", "us", lambda peer: peer.handshake(rsa, X25519, tls12=True)
        ),
        # The floor is the verifier of `cryptography` alone.
        Scenario(
            "verify_chain",
            "a chain verified, its certificate seen before",
            "us",
            lambda peer: verification_of(peer, [p256]),
        ),
        Scenario("verify_chain_new", "the same, never seen", "us", lambda peer: verification_of(peer, fresh)),
        Scenario(
            "verify_chain_public",
            "never seen, of a public authority, with an intermediate",
            "us",
            lambda peer: verification_of(peer, public),
        ),
        Scenario("resume_13", "resumed, X25519, a fresh ticket", "us", lambda peer: resumption_of(peer, p256)),
        Scenario("resume_12", "TLS 1.2, resumed", "us", lambda peer: resumption_of(peer, p256, tls12=True)),
        # One large answer: written at once, carried at once, then read.
        Scenario("bulk_1m", "1 MiB in one write", "MB/s", lambda peer: peer.bulk(p256, MEBIBYTE, MEBIBYTE)),
        # A steady stream: four full records at a time.
        Scenario("bulk_64m", "64 MiB, 64 KiB a write", "MB/s", lambda peer: peer.bulk(p256, 64 * MEBIBYTE, 1 << 16)),
        Scenario("records_100b", "records of 100 bytes", "records/s", lambda peer: peer.records(p256, RECORDS, 100)),
        # asyncio's streams over loopback TCP, client and server in one process.
        Scenario(
            "tcp_connections",
            "new asyncio connections",
            "conn/s",
            lambda peer: streams.connections(streams_of(peer, p256)),
        ),
        Scenario(
            "tcp_echo",
            "16 MiB there and back, asyncio",
            "MB/s",
            lambda peer: streams.bulk_echo(streams_of(peer, p256), 16 * MEBIBYTE, 1 << 16),
        ),
        # One side alone: the other is a process of its own over `ssl`. Contexts as ssl shapes them, on both columns.
        *(
            Scenario(
                f"{name}_{how}",
                f"{title}, {over}",
                "req/s",
                lambda peer, make=make, kept=kept: make(peer, p256, kept=kept),
            )
            for name, title, make in (
                ("httpx", "GETs by httpx", http.httpx_requests),
                ("aiohttp", "GETs by aiohttp", http.aiohttp_requests),
                ("uvicorn", "requests to uvicorn", http.uvicorn_requests),
            )
            for how, over, kept in (("new", "new connections", False), ("kept", "one connection", True))
        ),
        Scenario("idle_memory", "an idle asyncio connection, both sides", "KiB", None),
    ]


def measure(scenario: Scenario, peers: dict[str, Peer], effort: Effort) -> tuple[dict[str, Any], dict[str, str]]:
    """The entry of a scenario in the result, and for each peer without a figure the reason."""
    if scenario.task is None:
        times, missing = _idle(peers, effort)
    else:
        tasks, missing = _tasks(scenario.task, peers)
        times = alternate(tasks, effort)
        for task in tasks.values():
            task.end()
    convert = UNITS[scenario.unit]
    entry: dict[str, Any] = {name: round(convert(median(times[name])), 2) if name in times else None for name in PEERS}
    entry["unit"] = scenario.unit
    for name in RATIOS:
        both = "handfast" in times and name in times
        entry[f"ratio_{name}"] = round(ratio(times["handfast"], times[name]), 3) if both else None
    return entry, missing


def _tasks(make: Callable[[Peer], Task], peers: dict[str, Peer]) -> tuple[dict[str, Task], dict[str, str]]:
    """The task of each peer, or the reason why it has none."""
    tasks: dict[str, Task] = {}
    missing: dict[str, str] = {}
    for name, peer in peers.items():
        try:
            tasks[name] = make(peer)
        except Unavailable as why:
            missing[name] = str(why)
    return tasks, missing


def _idle(peers: dict[str, Peer], effort: Effort) -> tuple[dict[str, list[float]], dict[str, str]]:
    """KiB of a pair for each peer that has streams, weighed in a process of its own."""
    weights: dict[str, list[float]] = {}
    missing: dict[str, str] = {}
    for name, peer in peers.items():
        if not hasattr(peer, "streams"):
            missing[name] = "it has no streams for asyncio"
            continue
        command = [sys.executable, "-m", "bench.idle", PEERS[name], str(effort.pairs)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        weights[name] = [float(done.stdout)]
    return weights, missing


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

"""Runs the worker, and takes it away where a test does not end.

``python -m tests.ssl_module.cpython.running [--with ssl] [NAME ...]`` shows what became of the tests; each whose name
begins with one of ``NAME``, or all.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass

OURS = "handfast.transport.ssl_module"
SECONDS = 60.0  # of one test; the longest takes a few


@dataclass(frozen=True)
class Outcome:
    """``state``: passed, skipped, failed, or hung. ``detail``: the traceback, or why it is skipped."""

    state: str
    detail: str = ""
    seconds: float = 0.0


def listed(module: str = OURS) -> list[str]:
    """The tests that this Python has."""
    done = subprocess.run(_command(module, "--list"), capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise AssertionError(done.stderr)
    names: list[str] = json.loads(done.stdout)
    return names


def run(names: list[str], module: str = OURS) -> dict[str, Outcome]:
    """What became of each test."""
    outcomes: dict[str, Outcome] = {}
    while left := [name for name in names if name not in outcomes]:
        before = len(outcomes)
        _run_some(left, module, outcomes)
        if len(outcomes) == before:
            raise AssertionError(f"the process ended before {left[0]} began")
    return outcomes


def _run_some(names: list[str], module: str, outcomes: dict[str, Outcome]) -> None:
    """As many as one process gets done."""
    process = subprocess.Popen(
        _command(module, *names), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True
    )
    lines: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    current, began = None, time.monotonic()
    try:
        while True:
            with contextlib.suppress(queue.Empty):
                line = lines.get(timeout=SECONDS)
                if not line:
                    break
                said = json.loads(line)
                current = said["test"]
                if said["state"] == "begins":
                    began = time.monotonic()
                    continue
                # A test with several failures has failed; what it says first is kept.
                outcomes.setdefault(current, Outcome(said["state"], said["detail"], time.monotonic() - began))
                continue
            if current is not None:
                outcomes.setdefault(current, Outcome("hung", f"nothing happened for {SECONDS:.0f} seconds"))
            break
    finally:
        process.kill()
        code = process.wait()
        reader.join()
        assert process.stdout is not None
        process.stdout.close()
    if current is not None and current not in outcomes:
        outcomes[current] = Outcome("failed", f"the process ended: {code}")


def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def _command(module: str, *args: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "tests.ssl_module.cpython.worker", module, *args]


def main() -> None:
    parser = argparse.ArgumentParser(description="CPython's test_ssl over handfast.")
    parser.add_argument("--with", dest="module", default=OURS, help="the module that the tests get as ssl")
    parser.add_argument("--verbose", action="store_true", help="whole tracebacks")
    parser.add_argument("--slowest", type=int, default=0, metavar="N", help="which tests take longest")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    names = [name for name in listed(options.module) if name.startswith(tuple(options.names) or "")]
    outcomes = run(names, options.module)
    for name, outcome in outcomes.items():
        if outcome.state != "passed":
            detail = outcome.detail.rstrip()
            print(f"{outcome.state}: {name}: {detail if options.verbose else detail.rpartition(chr(10))[2]}")
    for name, outcome in sorted(outcomes.items(), key=lambda item: -item[1].seconds)[: options.slowest]:
        print(f"{outcome.seconds:.1f} s: {name}")
    print(dict(Counter(outcome.state for outcome in outcomes.values())))


if __name__ == "__main__":
    main()

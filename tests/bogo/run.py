"""Run BoringSSL's runner over the shim, and say how much of it passes.

::

    python -m tests.bogo.run --runner .../ssl/test/runner/runner.test                  # all of it, some minutes
    python -m tests.bogo.run --runner .../runner.test --test 'CurveTest-*-TLS13'       # some of it
    python -m tests.bogo.run --runner .../runner.test --report                         # and write docs/conformance.md

README.md says how to get and build the runner. The exit code is 0 when nothing has failed.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bogo import report
from tests.bogo.shim import NOTES

HERE = Path(__file__).resolve().parent
CONFIG = HERE / "config.json"

# Answers every test with 89: with it the runner names all its tests in seconds, those that are disabled included.
_NULL_SHIM = '#!/bin/sh\ncase "$*" in *-is-handshaker-supported*) echo No ;; *) exit 89 ;; esac\n'


@dataclass(frozen=True)
class Results:
    """What came of a run.

    ``outcomes``  PASS, FAIL or SKIP (answered with 89) by the name of the test; tests that are disabled are not there
    ``failures``  what the runner says of each test that failed
    ``notes``     why tests were answered with 89, a line for each
    """

    outcomes: dict[str, str]
    failures: dict[str, str]
    notes: list[str]


class Runner:
    """The runner, as somebody has built it: a program in BoringSSL's ssl/test/runner, whose files it reads."""

    def __init__(self, program: Path) -> None:
        self._program = program.resolve()

    def run(self, patterns: str | None = None, jobs: int | None = None, extra: Sequence[str] = ()) -> Results:
        """Run all tests that are not disabled, or those of the patterns (globs, with semicolons between them)."""
        with tempfile.TemporaryDirectory() as directory:
            output, notes = Path(directory, "output.json"), Path(directory, "notes")
            arguments = ["-shim-path", str(HERE / "shim"), "-shim-config", str(CONFIG), "-json-output", str(output)]
            arguments += ["-test", patterns] if patterns else []
            arguments += ["-num-workers", str(jobs)] if jobs else []
            self._start([*arguments, *extra], {NOTES: str(notes), "HANDFAST_PYTHON": sys.executable})
            tests = json.loads(output.read_text())["tests"]
            told = notes.read_text().splitlines() if notes.exists() else []
        return Results(
            {name: test["actual"] for name, test in tests.items()},
            {name: test.get("error", "") for name, test in tests.items() if test["actual"] == "FAIL"},
            told,
        )

    def names(self) -> list[str]:
        """All tests of this runner, in no order."""
        with tempfile.TemporaryDirectory() as directory:
            output, shim = Path(directory, "output.json"), Path(directory, "shim")
            shim.write_text(_NULL_SHIM)
            shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
            self._start(["-shim-path", str(shim), "-json-output", str(output)], {})
            return list(json.loads(output.read_text())["tests"])

    def _start(self, arguments: Sequence[str], environment: dict[str, str]) -> None:
        # Its exit code is 1 for a test that failed too: what counts is in the file that it writes.
        subprocess.run(
            [str(self._program), "-pipe", "-allow-unimplemented", *arguments],
            cwd=self._program.parent,
            env={**os.environ, **environment},
            stdout=subprocess.DEVNULL,
        )


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bogo.run", description="BoringSSL's tests against handfast")
    parser.add_argument(
        "--runner", type=Path, required=True, help="the program that `go test -c` has made of the runner"
    )
    parser.add_argument("--test", help="only these tests: globs, with semicolons between them")
    parser.add_argument("--jobs", type=int, help="how many tests at a time; one for each processor by default")
    parser.add_argument("--report", action="store_true", help="write the tables of docs/conformance.md")
    options = parser.parse_args()
    runner = Runner(options.runner)
    results = runner.run(options.test, options.jobs)
    for name, error in sorted(results.failures.items()):
        print(f"FAILED {name}\n{error}\n")
    disabled = json.loads(CONFIG.read_text())["DisabledTests"]
    names = list(results.outcomes) if options.test else runner.names()
    summary = report.summarize(names, results.outcomes, results.notes, disabled)
    print(report.as_text(summary))
    if options.report:
        report.write(summary)
    return 1 if results.failures else 0


if __name__ == "__main__":
    sys.exit(main())

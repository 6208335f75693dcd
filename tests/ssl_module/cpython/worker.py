"""A process that runs CPython's test.test_ssl with another module under the name ``ssl``.

``python -m tests.ssl_module.cpython.worker MODULE [--list | TEST ...]`` prints a line of JSON when a test begins and one
when it ends. ``MODULE`` is what the tests get: ``handfast.transport.ssl_module``, or ``ssl`` for a comparison.
"""

# ruff: noqa: N802, N815  (unittest's names)

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
import unittest
from typing import Any

SUITE = "test.test_ssl"


def main() -> None:
    module, *names = sys.argv[1:]
    # What the tests print is nobody's answer: it goes where errors go.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    suite = loaded(module)
    tests = {test.id().removeprefix(f"{SUITE}."): test for test in flattened(suite)}
    if names == ["--list"]:
        print(json.dumps(list(tests)), file=answers)
        return
    unittest.TestSuite([tests[name] for name in names]).run(Telling(answers))


def loaded(module: str) -> unittest.TestSuite:
    """The tests, as they stand in the installed Python, over ``module``."""
    replace_ssl(importlib.import_module(module))
    support = importlib.import_module("test.support")
    support.use_resources = ["cpu", "walltime"]  # and no network
    support.verbose = False
    return unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(SUITE))


def replace_ssl(replacement: Any) -> None:
    """Whoever imports ``ssl`` from now on gets the replacement; so do those who imported it before."""
    real = sys.modules["ssl"]
    sys.modules["ssl"] = replacement
    users = ("http", "urllib", "asyncore", "socketserver", "smtplib", "ftplib", "test")
    for name in [name for name in sys.modules if name.partition(".")[0] in users]:
        if vars(sys.modules[name]).get("ssl") is real:
            del sys.modules[name]


def flattened(suite: unittest.TestSuite) -> list[unittest.TestCase]:
    found: list[unittest.TestCase] = []
    for each in suite:
        found += flattened(each) if isinstance(each, unittest.TestSuite) else [each]
    return found


class Telling(unittest.TestResult):
    """Tells each result as it comes."""

    def __init__(self, answers: Any) -> None:
        super().__init__()
        self._answers = answers

    def _tell(self, test: Any, state: str, detail: str = "") -> None:
        said = {"test": test.id().removeprefix(f"{SUITE}."), "state": state, "detail": detail}
        print(json.dumps(said), file=self._answers)

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        self._tell(test, "begins")

    def addSuccess(self, test: Any) -> None:
        super().addSuccess(test)
        self._tell(test, "passed")

    def addSkip(self, test: Any, reason: str) -> None:
        super().addSkip(test, reason)
        self._tell(test, "skipped", reason)

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self._tell(test, "failed", shown(err))

    addFailure = addError

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        super().addExpectedFailure(test, err)
        self._tell(test, "passed", shown(err))

    def addUnexpectedSuccess(self, test: Any) -> None:
        super().addUnexpectedSuccess(test)
        self._tell(test, "failed", "it passed unexpectedly")

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._tell(test, "failed", f"{subtest}\n{shown(err)}")


def shown(err: Any) -> str:
    return "".join(traceback.format_exception(*err))


if __name__ == "__main__":
    main()

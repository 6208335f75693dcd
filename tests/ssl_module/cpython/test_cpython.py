"""CPython's own test.test_ssl, as it stands in the installed Python, with handfast given to it under the name ``ssl``."""

from __future__ import annotations

import importlib.util

import pytest

from tests.peers import missing
from tests.ssl_module.cpython import document, running
from tests.ssl_module.cpython.expected import BEHAVIOUR, FAIL, REASONS

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def suite() -> list[str]:
    """The tests that this Python has."""
    if importlib.util.find_spec("test.test_ssl") is None:
        raise missing(
            "this Python has no test.test_ssl: apt-get install libpython3-testsuite, or a Python with its tests"
        )
    return running.listed()


def test_the_suite(suite: list[str]) -> None:
    """Every test passes, or is skipped, but for those that are expected to fail; and these do.

    It is one test, so that the suite runs once, however many processes there are.
    """
    outcomes = running.run(suite)
    failed = {name: outcome for name, outcome in outcomes.items() if outcome.state in ("failed", "hung")}
    told = [f"{outcome.state}: {name}\n{outcome.detail}" for name, outcome in failed.items() if name not in FAIL]
    assert not told, "\n".join(told)
    # What passes now has to leave the table. What another Python does not have may stand there.
    assert [name for name in FAIL if name in outcomes and name not in failed] == []
    passed, asked = document.share(outcomes)
    assert asked > 90
    assert passed >= 0.8 * asked


@pytest.mark.usefixtures("suite")
def test_the_suite_got_ours() -> None:
    """What fails with ours passes with ``ssl``: so the tests run over what they are given."""
    name = "ThreadedTests.test_crl_check"
    assert name in FAIL
    assert running.run([name], "ssl")[name].state == "passed"


def test_the_page_says_what_fails() -> None:
    assert document.DOCUMENT.read_text(encoding="utf-8") == document.written(), (
        "run: python -m tests.ssl_module.cpython.document"
    )


def test_reasons_and_tests_belong_together() -> None:
    assert set(FAIL.values()) == set(REASONS)
    assert all(name.count(".") == 1 for name in FAIL)
    assert set(BEHAVIOUR) & {name.partition(".")[0] for name in FAIL}

"""CPython's own test.test_ssl, as it stands in the installed Python, with handfast given to it under the name ``ssl``."""

from __future__ import annotations

import importlib.util

import pytest

from tests.peers import missing
from tests.ssl_module.cpython import document, running
from tests.ssl_module.cpython.expected import BEHAVIOUR, FAIL, REASONS

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, running.Outcome]:
    if importlib.util.find_spec("test.test_ssl") is None:
        raise missing(
            "this Python has no test.test_ssl: apt-get install libpython3-testsuite, or a Python with its tests"
        )
    return running.run(running.listed())


def test_what_fails_is_what_is_expected_to(outcomes: dict[str, running.Outcome]) -> None:
    failed = {name: outcome for name, outcome in outcomes.items() if outcome.state in ("failed", "hung")}
    told = [f"{outcome.state}: {name}\n{outcome.detail}" for name, outcome in failed.items() if name not in FAIL]
    assert not told, "\n".join(told)


def test_what_is_expected_to_fail_does(outcomes: dict[str, running.Outcome]) -> None:
    """A test that passes now has to leave the table. One that another Python does not have may stand there."""
    assert [name for name in FAIL if name in outcomes and outcomes[name].state in ("passed", "skipped")] == []


def test_four_of_five_tests_of_behaviour_pass(outcomes: dict[str, running.Outcome]) -> None:
    passed, asked = document.share(outcomes)
    assert asked > 90
    assert passed >= 0.8 * asked


def test_the_suite_got_ours() -> None:
    """A test that asks for something of ours alone would fail with ``ssl``, so the suite ran over what it was given."""
    name = "ThreadedTests.test_session"
    assert running.run([name], "ssl")[name].state == "passed"


def test_the_page_says_what_fails() -> None:
    assert document.DOCUMENT.read_text(encoding="utf-8") == document.written(), (
        "run: python -m tests.ssl_module.cpython.document"
    )


def test_reasons_and_tests_belong_together() -> None:
    assert set(FAIL.values()) == set(REASONS)
    assert all(name.count(".") == 1 for name in FAIL)
    assert set(BEHAVIOUR) & {name.partition(".")[0] for name in FAIL}

"""Writes docs/cpython-test-ssl.md: ``python -m tests.ssl_module.cpython.document``."""

from __future__ import annotations

from pathlib import Path

from tests.ssl_module.cpython.expected import BEHAVIOUR, FAIL, REASONS
from tests.ssl_module.cpython.running import Outcome

DOCUMENT = Path(__file__).parents[3] / "docs" / "cpython-test-ssl.md"

HEAD = """\
# CPython's tests of `ssl`, over handfast

CPython tests its module `ssl` with `Lib/test/test_ssl.py`. `make test` runs that file as it stands in the installed
Python, with its own certificates, and gives it `handfast.transport.ssl_module` under the name `ssl`
(`tests/ssl_module/cpython`). With Python 3.11 these are 183 tests. 15 are skipped with `ssl` too: they want Windows, the
network, another locale, or versions before TLS 1.2. All others pass but those below. A test that fails and is not listed,
or is listed and passes, fails our run.

To see one: `python -m tests.ssl_module.cpython.running --verbose ThreadedTests.test_crl_check`; `--with ssl` runs it over
the module of Python's own.
"""


def written() -> str:
    parts = [HEAD]
    for reason, sentence in REASONS.items():
        names = [name for name, why in FAIL.items() if why == reason]
        parts.append(f"\n{sentence}\n\n" + "".join(f"- `{name}`\n" for name in names))
    return "".join(parts)


def share(outcomes: dict[str, Outcome]) -> tuple[int, int]:
    """Of the tests of behaviour that ran: how many passed, and how many there are."""
    states = [outcome.state for name, outcome in outcomes.items() if name.partition(".")[0] in BEHAVIOUR]
    return states.count("passed"), len(states) - states.count("skipped")


if __name__ == "__main__":
    DOCUMENT.write_text(written(), encoding="utf-8")

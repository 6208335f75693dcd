"""What all tests share."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

from tests.interop.report import pytest_terminal_summary  # noqa: F401  (a hook: the table of peers ends the run)

# No deadline and no check of speed: no test here depends on how fast the machine is.
settings.register_profile(
    "handfast", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow], max_examples=100
)
settings.register_profile("thorough", parent=settings.get_profile("handfast"), max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "handfast"))

# A key log that the caller asked for is not meant for the connections of the tests.
os.environ.pop("SSLKEYLOGFILE", None)

"""The soak, in a process of its own: nothing may be left over, and nothing may stand on standard error."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = float(os.environ.get("HANDFAST_SOAK_SECONDS", "30"))
SEED = int(os.environ.get("HANDFAST_SOAK_SEED", random.SystemRandom().randrange(1 << 32)))


@pytest.mark.timeout(SECONDS + 200)
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="sockets are counted in /proc")
def test_nothing_is_left_over() -> None:
    command = [sys.executable, "-X", "dev", "-m", "tests.soak.soaking", str(SECONDS), str(SEED)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 150)
    again = f"HANDFAST_SOAK_SEED={SEED}\n{done.stdout}\n{done.stderr}"
    assert done.stderr == "", again
    assert done.returncode == 0, again
    assert "echo" in done.stdout, again
    assert "half-close" in done.stdout, again
    assert "ssl: echo" in done.stdout, again

"""What runs before any command."""

from __future__ import annotations

import subprocess
import sys

import pytest

from handfast.cli import demo, main


def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "find_spec", lambda name: None)
    for start in (main.main, demo.main):
        with pytest.raises(SystemExit) as caught:
            start()
        assert str(caught.value.code).endswith("pip install 'handfast[cli]'")


def test_help_loads_no_protocol_and_no_cryptography() -> None:
    code = (
        "import sys; sys.argv = ['handfast', '--help']\n"
        "from handfast.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in sys.modules if name in ('cryptography', 'handfast.connection', 'asyncio')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert run.stdout.splitlines()[-1] == "[]", run.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["a", "b"]])
def test_the_demo_says_how_it_is_called(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "handfast.cli.demo", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (2, "usage: python -m handfast.cli.demo [HOST[:PORT]]\n")


def test_the_demo_shows_a_whole_handshake() -> None:
    command = [sys.executable, "-m", "handfast.cli.demo"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert "proved to be localhost" in run.stdout
    assert run.stdout.rstrip().endswith("close_notify: nothing more will be sent, and nothing was cut off.")

"""Which process this is: a key must not be used in two (see FORKED)."""

from __future__ import annotations

import os


class _Process:
    """Counts the forks that led to this process. A sealer that is older than the last one belongs to the parent."""

    forks = 0


def _forked() -> None:
    _Process.forks += 1


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows has no fork
    os.register_at_fork(after_in_child=_forked)


def forks() -> int:
    """How many forks led to this process, since handfast was imported."""
    return _Process.forks

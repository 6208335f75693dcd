"""The result as a table and as JSON."""

from __future__ import annotations

import os
import platform
import ssl
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from bench.scenarios import PEERS, RATIOS

PACKAGES = ("handfast", "cryptography", "pyOpenSSL", "tlslite-ng", "aioquic")


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.system(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "openssl_of_ssl": ssl.OPENSSL_VERSION,
        "openssl_of_cryptography": _openssl4(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _openssl4() -> str:
    from cryptography.hazmat.backends.openssl import backend

    return backend.openssl_version_text()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def table(scenarios: dict[str, dict[str, Any]]) -> None:
    """Print it: with rich where it is installed."""
    header = ["scenario", "unit", *PEERS, *(f"x {name}" for name in RATIOS)]
    rows = [_row(name, entry) for name, entry in scenarios.items()]
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        _plain([header, *rows])
        return
    drawn = Table(caption="x: how many times as fast handfast is, or as much it carries", box=SIMPLE_HEAD)
    for title in header:
        drawn.add_column(title, justify="left" if title in ("scenario", "unit") else "right", no_wrap=True)
    for row in rows:
        drawn.add_row(*row)
    console = Console()
    console.width = max(console.width, 132)  # a table that is cut off in a narrow terminal or a log is worth nothing
    console.print(drawn)


def _row(name: str, entry: dict[str, Any]) -> list[str]:
    ratios = (entry[f"ratio_{peer}"] for peer in RATIOS)
    return [name, entry["unit"], *(_figure(entry[peer]) for peer in PEERS), *(_ratio(value) for value in ratios)]


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _plain(rows: Iterable[list[str]]) -> None:
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (
            text.ljust(width) if at < 2 else text.rjust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells).rstrip())

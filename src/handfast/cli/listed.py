"""Options that may be repeated, and hold several values with commas between."""

from __future__ import annotations

import typer


def listed(option: str, values: list[str] | None) -> tuple[str, ...]:
    """The values of ``option``; () where it is not there.

    Raises typer.BadParameter where it is there and empty: `--permit "$DOMAIN"` without a DOMAIN would permit everything.
    """
    found = tuple(value.strip() for text in values or () for value in text.split(",") if value.strip())
    if values and not found:
        raise typer.BadParameter("a value is needed", param_hint=option)
    return found

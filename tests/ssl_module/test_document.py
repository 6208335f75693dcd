"""docs/ssl-module.md names everything that contexts, objects and sockets have."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from handfast.transport import ssl_module

PAGE = Path(__file__).parents[2] / "docs" / "ssl-module.md"
NEWER = {"set_psk_client_callback", "set_psk_server_callback", "get_verified_chain", "get_unverified_chain"}
OURS = {"handfast", "handfast_tap", "handfast_early_data", "handfast_early_data_rejected"}


def _table(title: str) -> dict[str, str]:
    section = PAGE.read_text("utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE))


@pytest.mark.parametrize("title", ["SSLContext", "SSLObject", "SSLSocket"])
def test_every_name_is_in_the_table(title: str) -> None:
    documented = _table(title)
    theirs, ours = (_public(getattr(module, title)) for module in (ssl, ssl_module))
    assert theirs | ours <= set(documented), "what a newer Python has, too, needs its line"
    assert set(documented) <= ours
    assert set(documented) - theirs <= NEWER | OURS
    assert list(documented) == sorted(documented)
    assert all(documented.values())


def _public(kind: Any) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_what_is_ours_is_not_called_theirs() -> None:
    """The word "ssl's" stands where the method is inherited, and nowhere else."""
    for title in ("SSLContext", "SSLObject", "SSLSocket"):
        kind: Any = getattr(ssl_module, title)
        for name, text in _table(title).items():
            if text == "ssl's":
                assert name not in vars(kind), f"{title}.{name}"
            if text.startswith("ours"):
                assert name in vars(kind), f"{title}.{name}"


def test_the_codes_of_the_table_are_those_of_the_code() -> None:
    from handfast.transport.ssl_module import exceptions

    source = Path(exceptions.__file__).read_text("utf-8")
    page = PAGE.read_text("utf-8").split("\n## Errors\n")[1].split("\n## ")[0]
    codes = {
        int(code) for line in page.splitlines() if "VERIFY_FAILED" in line for code in re.findall(r"\b\d{1,2}\b", line)
    }
    assert codes == {int(code) for code in re.findall(r"(?:return \(?|else \(|, )(\d{1,2}), f?\"", source)}

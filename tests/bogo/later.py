"""Callbacks whose answers take their time: -async."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from tests.bogo.flags import Options


class Later:
    """What an asynchronous callback returns: an answer, or an error, that is found when it is waited for."""

    def __init__(self, find: Callable[[], Any]) -> None:
        self.find = find

    def __await__(self) -> Generator[None, None, Any]:
        yield
        return self.find()


def answered(options: Options, find: Callable[[], Any]) -> Any:
    """What a callback returns: its answer, or with -async something to wait for."""
    return Later(find) if options.async_ else find()

"""What a fuzz target is, and what each of them holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

from handfast.errors import TLSError
from handfast.reasons import CALLBACK_FAILED, INTERNAL_ERROR

Change = Callable[[bytes, int], bytes]
"""Changes bytes without knowing what they mean, to at most so many: the fuzzer's own mutator, or :func:`changed`."""

Mutate = Callable[[bytes, int, Random, Change], bytes]
"""Changes an input by its structure: (input, the most bytes that it may have, randomness, how to change a part)."""


@dataclass(frozen=True)
class Target:
    """Something that takes bytes from a stranger.

    ``run``         takes one input; returns, whatever it is. Any exception is a finding
    ``seeds``       inputs that are right, by name: the corpus is made of them
    ``mutate``      changes an input by its structure; None leaves it to the fuzzer
    ``max_length``  the longest input that is tried
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], Mapping[str, bytes]]
    mutate: Mutate | None = None
    max_length: int = 4096


@contextmanager
def may_refuse() -> Iterator[None]:
    """The block may end in a TLSError, if that is no bug of ours in disguise."""
    try:
        yield
    except TLSError as error:
        check_refusal(error)


@contextmanager
def must_not_refuse() -> Iterator[None]:
    """The block may not: what it is given was accepted before, or is honest."""
    try:
        yield
    except TLSError as error:
        raise AssertionError(f"this may not be refused: {error}") from error


def check_refusal(error: TLSError) -> None:
    """A refusal says why, and can be shown. INTERNAL_ERROR is how a connection ends after an exception of ours."""
    if error.reason in (INTERNAL_ERROR, CALLBACK_FAILED):
        raise AssertionError(f"a bug of ours: {error}") from (error.__cause__ or error)
    text = str(error)
    assert text.isprintable(), text
    assert len(text) < 20_000, len(text)


def fields(message: Any) -> dict[str, Any]:
    """All fields of a message but the bytes that it came from."""
    return {name: getattr(message, name) for name in type(message).__slots__ if name != "raw"}


def changed(random: Random) -> Change:
    """A change by a few bytes, where the fuzzer's own mutator is not at hand."""

    def change(data: bytes, limit: int) -> bytes:
        result = bytearray(data)
        for _ in range(random.randint(1, 3)):
            start = random.randint(0, len(result))
            stop = min(len(result), start + random.choice((0, 1, 1, 1, 2, 8)))
            result[start:stop] = random.randbytes(random.choice((0, 1, 1, 1, 2, 8)))
        return bytes(result[:limit])

    return change

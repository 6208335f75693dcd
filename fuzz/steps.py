"""Inputs of several steps, for whatever is fed more than one thing: records, chains, connections.

::

    struct { uint8 kind; opaque content<0..2^16-1>; } Step;
    struct { uint8 settings; Step steps[]; } Play;

Any bytes are a play: a step that is cut short has what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple, Protocol

from fuzz.target import Change, Mutate

STEPS = 48  # what comes behind is not played


class Step(NamedTuple):
    """One thing that is done."""

    kind: int
    content: bytes = b""


def encode(settings: int, steps: Sequence[Step]) -> bytes:
    """A play as bytes."""
    return bytes((settings,)) + b"".join(bytes((kind,)) + len(content).to_bytes(2) + content for kind, content in steps)


def decode(data: bytes) -> tuple[int, list[Step]]:
    """The settings of a play, and its steps."""
    settings = data[0] if data else 0
    steps: list[Step] = []
    at = 1
    while at < len(data) and len(steps) < STEPS:
        start = at + 3
        stop = start + int.from_bytes(data[at + 1 : start])
        steps.append(Step(data[at], data[start:stop]))
        at = stop
    return settings, steps


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """``data`` in pieces of ``size`` bytes; 0 is for one piece."""
    step = size or len(data) or 1
    return (data[at : at + step] for at in range(0, len(data), step))


class Inside(Protocol):
    """Changes what is in a step, knowing what it means."""

    def __call__(self, step: Step, limit: int, random: Random, change: Change) -> Step:
        """A step like this one, with at most ``limit`` bytes of content."""


def mutator(inside: Inside, stock: Sequence[Step], settings: int) -> Mutate:
    """Changes one step, or which steps there are.

    ``stock``     steps that may be added
    ``settings``  how many settings there are
    """

    def mutate(data: bytes, limit: int, random: Random, change: Change) -> bytes:
        chosen, steps = decode(data)
        kind = random.random()
        if not steps or kind < 0.12:
            steps.insert(random.randint(0, len(steps)), random.choice(stock))
        elif kind < 0.3:
            _rearrange(steps, random)
        elif kind < 0.34:
            chosen = random.randrange(settings)
        else:
            at = random.randrange(len(steps))
            step = steps[at]
            room = min(0xFFFF, max(1, limit - len(data) + len(step.content)))
            steps[at] = inside(step, room, random, change)
        result = encode(chosen, steps)
        return result if len(result) <= limit else data[:limit]

    return mutate


def _rearrange(steps: list[Step], random: Random) -> None:
    """Drop a step, repeat it, or move it."""
    step = steps.pop(random.randrange(len(steps)))
    for _ in range(random.choice((0, 1, 1, 2))):
        steps.insert(random.randint(0, len(steps)), step)

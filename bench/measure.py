"""Times tasks in turns, so that whatever else the machine does falls on all of them alike.

What is counted is processor time: nothing here waits, and no task starts a thread.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time

from bench.peers import Task


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds, seconds of one task in one round, seconds (by the clock) of a whole scenario.

    ``pairs``: how many idle connections are weighed.
    """

    rounds: int
    turn: float
    budget: float
    pairs: int


FULL = Effort(rounds=25, turn=0.25, budget=60.0, pairs=1000)
QUICK = Effort(rounds=9, turn=0.08, budget=5.0, pairs=200)
LEAST_ROUNDS = 3


def alternate(tasks: Mapping[str, Task], effort: Effort) -> dict[str, list[float]]:
    """Seconds a unit, for each task one figure a round.

    In each round every task has a turn, in an order that moves on from round to round. A turn is as many runs as fit in
    ``effort.turn``, at least one. Garbage is collected before a turn; within it the collector runs as it does anywhere.
    """
    start = perf_counter()
    runs = {name: _runs(task, effort.turn) for name, task in tasks.items()}
    times: dict[str, list[float]] = {name: [] for name in tasks}
    names = list(tasks)
    for number in range(effort.rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            times[name].append(_turn(tasks[name], runs[name]))
        done = number + 1
        spent = perf_counter() - start
        if done >= LEAST_ROUNDS and spent + spent / done > effort.budget:
            break
    return times


def ratio(ours: list[float], theirs: list[float]) -> float:
    """How many times as fast we are: the median over the rounds, each compared within itself."""
    return median(their / our for our, their in zip(ours, theirs, strict=True))


def _runs(task: Task, seconds: float) -> int:
    """How many runs fill a turn; the first one is to warm up."""
    _turn(task, 1)
    once = _turn(task, 1) * task.amount
    return max(1, round(seconds / once))


def _turn(task: Task, runs: int) -> float:
    run = task.run
    gc.collect()
    start = process_time()
    for _ in range(runs):
        run()
    return (process_time() - start) / (runs * task.amount)

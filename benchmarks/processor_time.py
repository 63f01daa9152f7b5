"""Processor time of all threads of several ways to do one thing, which take turns."""

import time
from collections.abc import Callable, Sequence


def rounds_of(ways: Sequence[Callable[[], object]], rounds: int, calls: int) -> list[list[float]]:
    """Return of each round the seconds of each way; one round before them, which warms up, is not counted.

    Args:
        ways: what is called.
        rounds: how many rounds are counted.
        calls: how often each is called in a round; none is always the first.
    """
    found = []
    for _ in range(rounds + 1):
        spent = [0.0] * len(ways)
        for number in range(calls):
            for at in sorted(range(len(ways)), key=lambda at: (at + number) % len(ways)):
                start = time.process_time()
                ways[at]()
                spent[at] += time.process_time() - start
        found.append(spent)
    return found[1:]

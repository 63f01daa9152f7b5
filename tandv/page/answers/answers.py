"""Questions about runs, answered as bytes: the one way by which a server and a kernel give a page its numbers."""

import logging
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

from tandv.page.answers.asked import MOST_QUESTIONS, BadQuestion, checked
from tandv.page.answers.casts import casts
from tandv.page.answers.curves import curves, transitions
from tandv.page.answers.findings import findings
from tandv.page.answers.firsts import firsts
from tandv.page.answers.heat import heat
from tandv.page.answers.meta import meta
from tandv.page.answers.run import Answer, Run
from tandv.page.answers.tensor import at, exponent_map, lines
from tandv.page.envelope import pack

_log = logging.getLogger("tandv.page")

KINDS: dict[str, Callable[[Run, Sequence[Run], dict[str, Any]], Answer]] = {
    "meta": meta,
    "curves": curves,
    "transitions": transitions,
    "heat": heat,
    "map": exponent_map,
    "lines": lines,
    "at": at,
    "casts": casts,
    "firsts": firsts,
    "findings": findings,
}


class Answers:
    """Some runs that questions are asked of.

    >>> from tandv.log.example import example_log
    >>> from tandv.page.answers.table import TableSource
    >>> from tandv.page.envelope import unpack
    >>> answers = Answers([Run(TableSource(example_log(), "demo"))])
    >>> head, arrays = unpack(answers.answer(0, [{"kind": "heat", "tt": "Weight", "metric": "rm2", "w": 10}]))[0]
    >>> head["rows"], head["cols"], arrays[2].tolist()[:3]
    (5, 10, [0.0, 5.0, 10.0])

    Args:
        runs: the runs.
    """

    def __init__(self, runs: Sequence[Run]):
        self.runs = list(runs)
        self._lock = Lock()

    @property
    def names(self) -> list[str]:
        """The names of the runs."""
        return [run.name for run in self.runs]

    def answer(self, run: int, questions: Any) -> bytes:
        """Return the answers to some questions in one envelope; whatever is asked, an error is a sentence in its head.

        Args:
            run: the position of the run.
            questions: a list of questions, each a dict with its `kind`.
        """
        if not isinstance(questions, list):
            return pack([_error(f"questions are a list, not a {type(questions).__name__}")])
        if len(questions) > MOST_QUESTIONS:
            words = f"{len(questions):,} questions in one request, allowed are {MOST_QUESTIONS}"
            return pack([_error(words)] * MOST_QUESTIONS)
        if isinstance(run, bool) or not isinstance(run, int) or not 0 <= run < len(self.runs):
            return pack(
                [_error(f"there is no run {str(run)[:20]}: there are {len(self.runs)}, numbered from 0")]
                * len(questions)
            )
        with self._lock:  # lest steps are added between two questions, or between two arrays of one answer
            found = pack([self._answer(self.runs[run], question) for question in questions])
        if any(isinstance(question, dict) and question.get("kind") == "map" for question in questions):
            self.runs[run].prepare()  # not before the first picture is there
        return found

    def refresh(self) -> bool:
        """Look for what is new in each run; tell whether anything is."""
        with self._lock:
            changed = [run.refresh() for run in self.runs]
            return any(changed)

    def close(self) -> None:
        """Close the files of the runs, and end what is done in the background."""
        with self._lock:
            for run in self.runs:
                run.close()

    def _answer(self, run: Run, question: Any) -> Answer:
        try:
            kind, fields = checked(question)
            return KINDS[kind](run.of(fields["phase"], fields["rank"]), self.runs, fields)
        except (BadQuestion, LookupError, OSError, ValueError) as error:
            return _error(str(error))
        except Exception as error:  # a fault of ours must not take the other answers with it
            _log.exception("no answer to %.200r", question)
            return _error(f"no answer: {type(error).__name__}: {error}")


def _error(words: str) -> Answer:
    return {"error": words}, []

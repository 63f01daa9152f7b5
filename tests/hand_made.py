"""Logs small enough to work out by hand what a page shows of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tandv.log import logframe
from tandv.page.answers import Answers
from tandv.page.answers.background import Background
from tandv.page.envelope import unpack

ALL = {"from": None, "to": None, "w": 1000}
STATISTICS = {"rm2": np.nan, "mean": 0.0, "max_abs": np.nan, "numel": 8, "zeros": 0, "nans": 0, "infs": 0}


def log_of(
    rows: Mapping[tuple[str, str, int], Mapping[Any, float]], dtype: str = "float32", **metadata: list
) -> pd.DataFrame:
    """Return a log of rows by (tensor type, layer, step): statistics by name, and counts by exponent.

    Of a statistic that is not given it is that of STATISTICS; of `rm2` also `max_abs` has the value.
    """
    exponents = sorted({n for row in rows.values() for n in row if isinstance(n, int)})
    scalars = [STATISTICS | {"max_abs": row.get("rm2", np.nan)} | row for row in rows.values()]
    counts = [[row.get(-np.inf, 0), *(row.get(n, 0) for n in exponents), row.get(np.inf, 0)] for row in rows.values()]
    text = {
        "name": [layer for _, layer, _ in rows],
        "type": ["Linear"] * len(rows),
        "tensor_type": [tt for tt, _, _ in rows],
        "step": [step for _, _, step in rows],
        "dtype": [dtype] * len(rows),
    }
    columns = {name: np.array([row[name] for row in scalars]) for name in STATISTICS}
    return logframe.frame(text | metadata, columns, np.array(counts, np.int64), exponents)


def line_of(values: Mapping[int, float], tt: str = "Activation", layer: str = "fc") -> pd.DataFrame:
    """Return a log of one tensor, whose `rm2` has these values by step."""
    return log_of({(tt, layer, step): {"rm2": value} for step, value in values.items()})


def ask(answers: Answers, run: int = 0, **question: Any) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Return the head and the arrays of the answer to one question, which is no error."""
    [(head, arrays)] = unpack(answers.answer(run, [question]))
    assert "error" not in head, head
    return head, arrays


def error_of(answers: Answers, run: Any = 0, **question: Any) -> str:
    """Return the sentence that a question is answered by."""
    [(head, arrays)] = unpack(answers.answer(run, [question]))
    assert arrays == []
    return head["error"]


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let answers wait for what is found out in the background."""
    monkeypatch.setattr("tandv.page.answers.run.Background", lambda patience, rest=0.0: Background(None))

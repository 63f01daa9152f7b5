"""The noun: what JSON holds of it, and the gravest of several."""

import json

import numpy as np

from tandv.analysis.findings import Finding, gravest


def finding(severity="warning", **numbers):
    return Finding("spike", severity, "Activation", "fc", 7, numbers, "What.", "Before.", "Do.", ("Also.",))


def test_what_is_not_finite_travels_as_text():
    told = finding(
        size=np.float32(2.5), count=np.int64(3), top=float("inf"), none=float("nan"), dtype="float16"
    ).as_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == {
        "kind": "spike", "severity": "warning", "tensor_type": "Activation", "layer": "fc", "step": 7,
        "numbers": {"size": 2.5, "count": 3, "top": "inf", "none": "nan", "dtype": "float16"},
        "what": "What.", "before": "Before.", "advice": "Do.", "evidence": ["Also."],
    }  # fmt: skip


def test_the_gravest():
    assert gravest([finding("note"), finding("error"), finding("warning")]) == "error"
    assert gravest([finding("note")]) == "note"

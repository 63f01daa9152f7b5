"""Attention heads: logits that grow without end, and entropies that collapse."""

import numpy as np
import pytest
from analysis.findings.made import from_step, log, told

from tandv.analysis.findings import Matrices, findings
from tandv.analysis.findings.attention import attention_logits, entropy_collapse

N = 40


def heads(largest=2.0, entropy=2.0, layer="layers.0"):
    return {
        ("Attention", f"{layer}.head.{i}"): {"largest_logit": largest, "attention_entropy": entropy} for i in (0, 1)
    }


def test_logits_above_a_hundred_that_have_grown_are_told_since_when_and_to_what():
    [found] = attention_logits(Matrices(log(N, heads(from_step(20, N, 5.0, 150.0)))))
    assert told([found]) == [("attention_logits", "layers.0.head.0", 20)]
    assert found.severity == "warning" and found.numbers == {"largest": 150.0, "first": 5.0}
    assert "is above 100 since step 20 and comes to 150." in found.what
    assert found.evidence[-1] == "The same in layers.0.head.1."


@pytest.mark.parametrize("largest", [99.0, from_step(20, N, 30.0, 110.0), from_step(N - 2, N, 5.0, 150.0)])
def test_smaller_logits_and_large_ones_that_are_usual_or_short_are_not(largest):
    assert attention_logits(Matrices(log(N, heads(largest)))) == []


def test_the_format_that_holds_them_no_longer_is_named():
    narrow = log(N, heads(from_step(20, N, 5.0, 300.0)))
    narrow[("metadata", "dtype")] = "bfloat16"
    [found] = attention_logits(Matrices(narrow))
    assert found.evidence[0] == "In bfloat16, neighbouring numbers of that size are 2 apart."


def test_heads_of_a_layer_that_come_to_attend_to_one_key():
    [found] = entropy_collapse(Matrices(log(N, heads(entropy=from_step(30, N, 2.0, 0.1)))))
    assert told([found]) == [("entropy_collapse", "layers.0", 30)]
    assert found.severity == "note" and found.numbers == pytest.approx({"entropy": 0.1, "first": 2.0})
    assert "5 % of what it was" in found.what


def test_it_is_a_warning_where_the_loss_is_worse():
    loss = np.where(np.arange(N) < 30, 1.0, 3.0)
    m = Matrices(log(N, heads(entropy=from_step(30, N, 2.0, 0.1))))
    m._loss = loss
    [found] = entropy_collapse(m)
    assert found.severity == "warning" and "when the loss was lower" in found.before


@pytest.mark.parametrize("entropy", [0.3, from_step(30, N, 2.0, 0.3), from_step(30, N, 0.4, 0.01)])
def test_heads_that_were_sharp_from_the_start_or_stay_broad_are_not(entropy):
    assert entropy_collapse(Matrices(log(N, heads(entropy=entropy)))) == []


def test_a_collapse_is_a_consequence_of_logits_that_grow():
    rows = heads(from_step(20, N, 5.0, 150.0), from_step(20, N, 2.0, 0.1))
    [found] = findings(log(N, rows))
    assert found.kind == "attention_logits" and any("hardly more than one key" in one for one in found.evidence)

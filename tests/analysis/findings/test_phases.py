"""Phases that the rules do not look at: values that are not finite in them are told all the same."""

import numpy as np
import pandas as pd
import pytest
from analysis.findings.made import from_step, log, told

from tandv.analysis.findings import examined

N = 9


def run(**phases):
    """Return a log whose rows lie in phases, each with the tensors that it is given; "train" is the first."""
    parts = []
    for phase, tensors in phases.items():
        df = log(N, tensors)
        df.insert(0, ("metadata", "phase"), phase)
        parts.append(df)
    return pd.concat(parts, ignore_index=True)


FINE = {("Activation", "fc"): {}}
NAN = {("Activation", "fc"): {"nans": from_step(5, N, 0, 2)}}


def test_nan_in_validation_is_a_warning_that_names_the_phase():
    found = examined(run(train=FINE, val=NAN))
    assert told(found.findings) == [("not_finite", "fc", 5)]
    [one] = found.findings
    assert one.severity == "warning"
    assert one.what == (
        "In the phase 'val': The output of 'fc' (Linear, float32) has 2 NaN among 100 values first at step 5."
    )


@pytest.mark.parametrize(("at", "many"), [(5, 1), (6, 2)])
def test_what_follows_from_the_phase_that_is_looked_at_is_not_told_again(at, many):
    train = {("Activation", "fc"): {"nans": from_step(at, N, 0, 2)}}
    assert len(examined(run(train=train, val=NAN)).findings) == many


def test_infinities_alone_are_a_note_as_a_mask_may_have_them():
    mask = {("Activation", "fc"): {"infs": np.full(N, 7)}}
    assert [one.severity for one in examined(run(train=FINE, val=mask)).findings] == ["note"]


def test_what_was_hardly_looked_at_is_said():
    words = "the rows of the phase 'val' were looked at only for NaN and infinity"
    assert any(one.startswith(words) for one in examined(run(train=FINE, val=FINE)).not_checked)
    assert not any("phase" in one for one in examined(log(N, FINE)).not_checked)

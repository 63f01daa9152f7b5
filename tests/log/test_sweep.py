"""The exponents of all tensors of a type in one pass are those of each tensor by itself."""

import numpy as np
import pytest
from stored import stored

from tandv.log import logframe
from tandv.log.files import write_pickle
from tandv.log.live import LiveLog
from tandv.log.shown import as_levels, fractions_of


@pytest.mark.parametrize("form", ["parts", "joined", "pickle"])
@pytest.mark.parametrize("every", [1, 7, 100])
def test_each_column_has_the_largest_share_of_its_steps(tmp_path, form, every):
    df = logframe.example_log(layers=4, steps=30)
    late = (df["metadata", "name"] == "head") & (df["metadata", "step"] < 12)
    df = df[~late].reset_index(drop=True)
    if form == "pickle":
        write_pickle(df, tmp_path / "log.pkl")
        log = LiveLog(tmp_path / "log.pkl")
    else:
        log = LiveLog(stored(df, tmp_path / "run", close=form == "joined"))
    starts = log.steps[::every].astype(float)
    edges = np.searchsorted(log.steps, starts)
    for tt in logframe.EXAMPLE_TYPES:
        shares, lanes = log.pooled_exponents(tt, starts)
        assert shares.shape == (4, len(starts), log.exponents[1] - log.exponents[0] + 1)
        for row, layer in enumerate(log.layers(tt)):
            share, lane = fractions_of(log.exponents_of(tt, layer))
            np.testing.assert_array_equal(shares[row], np.maximum.reduceat(as_levels(share), edges, axis=0))
            np.testing.assert_array_equal(lanes[row], np.maximum.reduceat(lane, edges, axis=1).astype(np.float32))


def test_a_type_that_is_not_there_is_named(tmp_path):
    log = LiveLog(stored(logframe.example_log(layers=2, steps=2), tmp_path / "run"))
    with pytest.raises(logframe.UnknownName, match="no tensor type 'Input' in this log"):
        log.pooled_exponents("Input", np.zeros(1))

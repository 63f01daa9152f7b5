import numpy as np

from tandv.analysis.transitions.median import median


def test_the_median_is_the_middle_or_between_the_two_in_the_middle():
    assert median(np.array([5.0, -1.0, 2.0])) == 2.0
    assert median(np.array([5.0, -1.0, 2.0, 3.0])) == 2.5

"""What is said of the weights of a run, worked out by hand."""

from tandv.checkpoints.remarks import remarks_on_weights
from tandv.checkpoints.warnings import Remark


def test_each_thing_is_said_once_with_all_that_it_is_about():
    known = {
        "a_1.pt": {"said": {"fc": "NonFiniteWeights", "buffers: mean": "LeftOut"}},
        "a_2.pt": {"said": {"fc": "NonFiniteWeights", "fc ": "RankDeficient"}},
    }
    nan = "NaN or infinite values in fc; the metrics that they are part of are NaN"
    assert remarks_on_weights(known) == [
        Remark("LeftOut", "left out were buffers: mean", "a_1.pt"),
        Remark("NonFiniteWeights", nan, "a_1.pt"),
        Remark("NonFiniteWeights", nan, "a_2.pt"),
        Remark("RankDeficient", "less than full rank in fc; their condition is infinite", "a_2.pt"),
    ]


def test_shapes_that_change_and_weights_that_never_do():
    known = {
        "a_1.pt": {"shapes": {"w": [2, 3], "old": [1]}, "unsure": {"p": "abc", "q": "abc"}},
        "a_2.pt": {},
        "a_3.pt": {"shapes": {"w": [2, 4], "new": [1]}, "unsure": {"p": "abc", "q": "def"}},
    }
    changed, same = remarks_on_weights(known)
    assert changed == Remark("ShapesChanged", "w was 2×3 and is 2×4, new is new, old is gone", "a_3.pt")
    assert same.kind == "Guessed" and same.text.endswith("may be no parameters: p")

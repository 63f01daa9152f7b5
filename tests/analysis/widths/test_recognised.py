"""The width of a run from the shapes of its parameters."""

import json

import pytest

from tandv.analysis.widths import widths_of


@pytest.fixture
def written(tmp_path):
    def write(name, shapes):
        (tmp_path / name).mkdir()
        about = {"parameters": {key: {"shape": list(shape)} for key, shape in shapes.items()}}
        (tmp_path / name / "run.json").write_text(json.dumps(about))
        return tmp_path / name

    return write


def gpt(width, vocabulary=100, context=16):
    return {
        "embed": (vocabulary, width), "position": (context, width), "0.qkv": (3 * width, width),
        "0.up": (4 * width, width), "0.up.bias": (4 * width,), "0.down": (width, 4 * width), "0.norm": (width,),
    }  # fmt: skip


def test_it_is_what_most_axes_have_and_not_a_multiple_of_it(written):
    found = widths_of([written(name, gpt(width)) for name, width in (("a", 48), ("b", 96), ("c", 48))])
    assert found.values == [48, 96, 48] and found.parameter == "embed"
    assert (found.axes, found.varying, found.others) == (6, 10, [])


def test_of_lengths_that_are_as_frequent_it_is_the_smallest(written):
    runs = [written(f"w{width}", {"up": (4 * width, width)}) for width in (8, 16)]
    assert widths_of(runs).values == [8, 16]


def test_lengths_that_do_not_follow_it_are_told(written):
    runs = [written(f"w{width}", gpt(width, vocabulary)) for width, vocabulary in ((8, 100), (16, 300))]
    assert widths_of(runs).others == [(100, 300)]


def test_runs_that_do_not_say_their_shapes_are_named(written, tmp_path):
    runs = [written("a", gpt(8)), written("b", {}), written("c", {})]
    with pytest.raises(ValueError, match=r"the width of run 2, 3 is not known.*--width 64 --width 128"):
        widths_of(runs)
    with pytest.raises(FileNotFoundError, match="there is nothing of this name"):
        widths_of([written("d", gpt(8)), tmp_path / "nowhere"])


def test_runs_of_one_width_have_nothing_to_compare(written):
    with pytest.raises(ValueError, match="no axis of a parameter that all have differs in length"):
        widths_of([written("a", gpt(8)), written("b", gpt(8))])

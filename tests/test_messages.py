"""A word that nothing is called is answered by what is called so, in one sentence and by one exception."""

import importlib
import inspect
import pickle
import re
from typing import Literal

import pytest

from tandv import checkpoints, formats, logframe
from tandv.messages import (
    UnknownName,
    check_choices,
    choices_of,
    listed,
    named_arguments,
    near_steps,
    nearest,
    some,
    unknown,
)  # fmt: skip
from tandv.names import chosen

Kind = Literal["bar", "line", "kde"]


def test_a_choice_is_taken():
    check_choices(kind=("bar", Kind), band=(None, Literal["std", "range"] | None), suffix=(".pkl", [".pkl", ".csv"]))


@pytest.mark.parametrize("word", ["bars", "BAR", "", None, 1, ["bar"]])
def test_what_is_no_choice_is_refused_with_all_choices(word):
    with pytest.raises(ValueError, match=re.escape(f"kind={word!r} is not one of 'bar', 'line', 'kde'")):
        check_choices(kind=(word, Kind))


def test_all_wrong_options_are_named_at_once_each_with_the_nearest_choice():
    with pytest.raises(ValueError, match=r"kind='lines' .*; did you mean 'line'\?\nscale='zzz' is .* 'linear'$"):
        check_choices(kind=("lines", Kind), scale=("zzz", Literal["log", "linear"]))


def test_choices_stand_anywhere_in_an_annotation():
    assert choices_of(Literal["a", 1]) == ["a", 1]
    assert choices_of(Literal["a"] | None | dict[str, int]) == ["a", None]
    assert choices_of(list[Literal["a", "b"]]) == ["a", "b"]
    assert choices_of(str) == []


def test_what_is_unknown_is_answered_by_the_nearest_or_by_what_there_is():
    assert unknown("layer", "HAED", ["head"], "this log") == "no layer 'HAED' in this log; did you mean 'head'?"
    assert unknown("layer", "zzz", ["embed", "head"], "this log") == (
        "no layer 'zzz' in this log; this log has 'embed', 'head'"
    )
    assert unknown("curve", "zzz", []) == "no curve 'zzz'; there are none"
    assert unknown("layer", re.compile("zz"), ["embed"]) == "no layer matches the pattern 'zz'; there are 'embed'"
    assert nearest("layer.1", ["layers.0", "layers.1", "head"])[0] == "layers.1"


def test_a_long_list_is_cut():
    assert listed(["a", "b", "c"], 2) == "'a', 'b' and 1 more"
    assert some(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert unknown("x", "?", [str(i) for i in range(10)], most=2).endswith("'0', '1' and 8 more")


def test_the_nearest_steps():
    assert near_steps(7, [10, 0, 5]) == "the nearest are 5 and 10 (it has 3 steps, 0 to 10)"
    assert near_steps(7, [3]) == "there is only 3"
    assert near_steps(7, []) == "there is none"


def test_names_are_chosen_by_themselves_and_by_patterns_and_all_wrong_ones_are_named():
    names = ["embed", "layers.0", "layers.1"]
    assert chosen(names, ["layers.1", re.compile("bed")], "layer") == ["embed", "layers.1"]
    with pytest.raises(UnknownName, match=r"no layer 'layers.2'; did you mean.*\n  no layer 'zzz'; there are 'embed'"):
        chosen(names, ["layers.2", "embed", "zzz"], "layer")
    with pytest.raises(UnknownName, match="no layer was asked for; there are 'embed'"):
        chosen(names, [], "layer")


def test_published_names_are_the_one_exception():
    assert {logframe.NotLogged, checkpoints.UnknownMetric, formats.UnknownFormat} == {UnknownName}
    assert issubclass(UnknownName, LookupError)


PARTS = ("", ".viz", ".probes", ".logframe", ".checkpoints", ".curves", ".dossier", ".exports", ".analysis.transitions")


def _takes_names(function):
    kinds = [one.kind for one in inspect.signature(function).parameters.values()]
    return len(kinds) > 1 and inspect.Parameter.VAR_KEYWORD not in kinds


PUBLIC = {
    f"tandv{part}.{name}": one
    for part in PARTS
    for module in [importlib.import_module(f"tandv{part}")]
    for name in module.__all__
    if inspect.isfunction(one := getattr(module, name, None)) and _takes_names(one)
}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_function_names_the_nearest_of_its_arguments(name):
    function = PUBLIC[name]
    right = list(inspect.signature(function).parameters)[-1]
    wrong = right + right[-1]
    with pytest.raises(TypeError, match=f"has no argument '{wrong}'; did you mean .*'{right}'"):
        function(**{wrong: None})
    assert pickle.loads(pickle.dumps(function)) is function


def test_every_plot_is_among_them():
    assert {"tandv.viz.exp_hist", "tandv.viz.scalar_line", "tandv.viz.overview", "tandv.whatif"} <= set(PUBLIC)
    assert len([name for name in PUBLIC if name.startswith("tandv.viz.")]) > 40
    with pytest.raises(TypeError, match=r"exp_hist\(\) has no argument 'layr'; did you mean 'layer'"):
        PUBLIC["tandv.viz.exp_hist"](None, layr="x")


def test_what_a_function_takes_is_seen_from_outside():
    def added(a: int, b: int = 1) -> int:
        """Return the sum."""
        return a + b

    named = named_arguments(added)
    assert inspect.signature(named) == inspect.signature(added)
    assert (named.__doc__, named.__name__, named(1), named(1, b=2)) == ("Return the sum.", "added", 2, 3)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        named(b=2)

"""What lasts from load-dir to plot-metrics, and what is wrong with a model's file."""

import pytest

from tandv.cli.state import FILE, Loaded, NothingLoaded, keep, last, problems


@pytest.mark.parametrize("loaded", [Loaded(("/a", "/b")), Loaded(("/µ",), "/net.py", "Net")])
def test_what_is_kept_comes_back(loaded, state):
    keep(Loaded(("/before",)))
    keep(loaded)
    assert last() == loaded
    assert [path.name for path in state.iterdir()] == [FILE]


def test_without_anything_loaded_it_says_what_to_do():
    with pytest.raises(NothingLoaded, match="first run: tandv load-dir --dir FOLDER"):
        last()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"folders": 3}', "\x00"])
def test_a_broken_file_is_no_reason_to_fail_without_a_word(text, state):
    state.mkdir()
    (state / FILE).write_text(text)
    with pytest.raises(NothingLoaded, match="cannot be read; run again: tandv load-dir"):
        last()


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("raise SystemExit\nclass Net: pass", "Net", None),
        ("from nets import Net", "Net", None),
        ("from nets import *", "Net", None),
        ("class Net: pass", None, None),
        ("class Net: pass\nclass Head: pass", "Ned", "has no class Ned; it has Net, Head"),
        ("x = 1", "Net", "has no class Net; it has none"),
        ("class Net", "Net", "line 1: expected ':'"),
    ],
)
def test_a_models_file_is_read_not_run(tmp_path, text, name, said):
    file = tmp_path / "net.py"
    file.write_text(text)
    found = problems(str(file), name)
    assert found == [] if said is None else said in found[0]


def test_without_a_file_there_is_nothing_wrong():
    assert problems(None, "Net") == []

"""`tandv coordinate-check`: words, slopes, exit codes, JSON, pictures."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from tandv.cli import app
from tandv.log.example import example_log

WIDTHS = (64, 128, 256)


@pytest.fixture
def runs(tmp_path):
    def write(**powers):
        places = []
        for width in WIDTHS:
            df = example_log(layers=2, steps=3, tensor_types=["Activation", "Weight"])
            random = np.random.default_rng(width)
            df["scalar_stats", "mean_abs"] = np.exp(0.01 * random.normal(size=len(df)))
            df["scalar_stats", "nans"] = df["scalar_stats", "infs"] = 0
            for name, power in powers.items():
                df.loc[df["metadata", "name"] == name, ("scalar_stats", "mean_abs")] *= (width / 64) ** power
            places.append(str(tmp_path / f"w{width}.pkl"))
            df.to_pickle(places[-1])
        return places

    return write


def run(*arguments):
    return CliRunner().invoke(app, ["coordinate-check", *arguments])


@pytest.mark.parametrize(("power", "code", "verdict"), [(0, 0, "constant"), (1, 1, "grows"), (-1, 3, "vanishes")])
def test_the_exit_code_says_whether_outputs_change_with_the_width(runs, power, code, verdict):
    done = run(*runs(head=power), "--width", "64,128,256")
    assert done.exit_code == code
    [line] = [line for line in done.stdout.splitlines() if line.startswith("  head ")]
    assert line.split()[-1] == verdict and float(line.split()[1]) == pytest.approx(power, abs=0.05)
    assert "Not judged, slopes at step 2:\n  Weight: " in done.stdout


def test_what_is_not_decided_ends_with_4(runs):
    done = run(*runs()[:2], "--width", "64", "--width", "128")
    assert done.exit_code == 4 and "two runs give slopes without intervals" in done.stdout.lower()


def test_json_has_the_runs_and_every_tensor(runs):
    places = runs(head=1)
    done = run(*places, "--width", "64,128,256", "--json", "--step", "2", "--size", "mean_abs")
    found = json.loads(done.stdout)
    assert done.exit_code == 1 and found["runs"] == places and found["steps"] == [2]
    assert {one["layer"]: one["verdict"] for one in found["tensors"] if one["tensor_type"] == "Activation"} == {
        "embed": "constant", "head": "grows",
    }  # fmt: skip


def test_widths_that_are_not_known_or_do_not_fit_end_with_2(runs):
    places = runs()
    done = run(*places)
    assert done.exit_code == 2 and "the width of run 1, 2, 3 is not known" in done.output
    done = run(*places, "--width", "64")
    assert done.exit_code == 2 and "there are 3 runs and 1 widths; give one --width for each run" in done.output
    done = run(*places, "--width", "a,b,c")
    assert done.exit_code == 2 and "--width takes numbers" in done.output


def test_it_can_be_drawn(runs, tmp_path):
    done = run(*runs(head=1), "--width", "64,128,256", "--out", str(tmp_path / "x.svg"))
    assert done.exit_code == 1 and "sizes over widths" in (tmp_path / "x.svg").read_text()

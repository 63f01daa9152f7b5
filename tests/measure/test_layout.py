"""Every producer takes the positions of a row from `tandv.statistics`: a new field in front of all shifts nothing."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tandv import statistics

SCRIPT = Path(__file__).with_name("every_producer.py")
PRODUCERS = ("numpy", "numba", "torch", "triton", "xla", "ffi")


@functools.cache
def measured(*arguments: str) -> dict[str, Any]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "ignore", str(SCRIPT), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_positions_are_those_of_the_fields():
    row = np.arange(statistics.WORDS).view(statistics.ROW)
    for name, position in statistics.WORD.items():
        assert row[name].view(np.int64).flat[0] == position
    assert statistics.WORD["counts"] + statistics.HIGHEST - statistics.LOWEST + 1 == statistics.WORDS


@pytest.mark.slow
@pytest.mark.parametrize("producer", PRODUCERS)
def test_a_new_field_in_front_of_all_others_changes_nothing_else(producer):
    assert measured("--new-field")[producer] == measured()[producer]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("producer", "module", "of_layout", "of_its_own"),
    [
        ("torch", "tandv.measure.torch_operations", 'WORD["m2"]', "10"),
        ("triton", "tandv.measure._triton", "tl.constexpr(WORD[name])", f"tl.constexpr({dict(statistics.WORD)}[name])"),
    ],
)
def test_positions_of_its_own_are_found_out(producer, module, of_layout, of_its_own):
    """They are right for the layout as it is, and wrong as soon as it has a new field."""
    planted = measured("--new-field", "--by", producer, "--plant", module, of_layout, of_its_own)
    assert planted[producer] != measured()[producer]

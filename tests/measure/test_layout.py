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
# Positions that a producer has of its own, as (module, those of the layout, its own).
PLANTS = {
    "torch": ("tandv.measure.torch_operations", 'WORD["m2"]', "10"),
    "triton": (
        "tandv.measure._triton",
        "tl.constexpr(WORD[name])",
        f"tl.constexpr({dict(statistics.WORD)}[name])",
    ),
}


@functools.cache
def measured() -> list[dict[str, Any]]:
    """Return what each producer says: as it is, with a new field, and with a new field and each of the plants."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    plans = [{"new_field": new, "plant": None, "by": PRODUCERS} for new in (False, True)]
    plans += [{"new_field": True, "plant": plant, "by": [producer]} for producer, plant in PLANTS.items()]
    command = [sys.executable, "-W", "ignore", str(SCRIPT)]
    ran = subprocess.run(command, input=json.dumps(plans), capture_output=True, text=True, env=environment)
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
    as_it_is, new_field, *_ = measured()
    assert new_field[producer] == as_it_is[producer]


@pytest.mark.slow
@pytest.mark.parametrize("producer", PLANTS)
def test_positions_of_its_own_are_found_out(producer):
    """They are right for the layout as it is, and wrong as soon as it has a new field."""
    as_it_is, _, *planted = measured()
    assert planted[list(PLANTS).index(producer)][producer] != as_it_is[producer]

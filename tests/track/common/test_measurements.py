"""The buffer of a step's measurements is used by one thread at a time."""

import torch

from tandv import measure
from tandv.tensor_types import ACTIVATION
from tandv.track.common.measurements import Quantity, StepMeasurements
from tests.interleaved import Meanwhile


def quantity(name):
    return Quantity((0, name), name, "Linear", ACTIVATION)


def test_two_threads_that_measure_at_once_get_rows_of_their_own(monkeypatch):
    measurements, real = StepMeasurements(), measure.add_one
    meanwhile = Meanwhile(measurements._alone, lambda: measurements.add([torch.full((5,), 8.0)], [quantity("other")]))
    measurements._alone = meanwhile
    monkeypatch.setattr(measure, "add_one", lambda *arguments: (meanwhile.now(), real(*arguments))[1])
    measurements.add([torch.full((3,), 2.0)], [quantity("mine")])
    meanwhile.join()
    taken = measurements.take(0)
    assert [one.name for one in taken.quantities] == ["mine", "other"]
    assert taken.scalars["numel"].tolist() == [3, 5]
    assert taken.scalars["max_abs"].tolist() == [2, 8]

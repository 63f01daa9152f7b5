from types import SimpleNamespace

import numpy as np

from tandv.log.raster import NEGATIVE, NONE, POSITIVE, read_raster
from tandv.track.insight.raster import RasterWriter


def test_steps_over_before_the_first_gradient_have_none_in_the_raster_whenever_they_are_written(tmp_path):
    """The thread that writes may come to a step before training knows the tensors, or after."""
    written = []
    for late in (True, False):
        folder = tmp_path / str(late)
        folder.mkdir()
        raster = RasterWriter(lambda folder=folder: folder, 1e-5, 10)
        if late:
            raster.add(SimpleNamespace(step=0))
        raster.begin(["fc"], [2])
        if not late:
            raster.add(SimpleNamespace(step=0))
        raster.put({"fc": np.array([NEGATIVE, POSITIVE], np.uint8)})
        raster.add(SimpleNamespace(step=1))
        raster.close(None)
        read = read_raster(folder)
        written.append((read.steps.tolist(), read.codes.tolist()))
    assert written == [([0, 1], [[NONE, NONE], [NEGATIVE, POSITIVE]])] * 2

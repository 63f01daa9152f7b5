"""Coordinate check: how the sizes of outputs, gradients and updates change with the width of a network.

>>> from tandv.log.example import example_log
>>> found = coordinate_check({width: example_log(layers=2) for width in (64, 128, 256)})
>>> found.verdicts["Activation", "embed"]
'constant'
"""

from tandv.analysis.widths.check import coordinate_check
from tandv.analysis.widths.found import CoordinateCheck
from tandv.analysis.widths.recognised import widths_of

__all__ = ["CoordinateCheck", "coordinate_check", "widths_of"]

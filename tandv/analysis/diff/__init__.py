"""Where two runs part: the first step, phase and tensor, beyond rounding or beyond the spread of repeats.

>>> from tandv.log.example import example_log
>>> same = example_log()
>>> diff(same, same).parts
False
"""

from tandv.analysis.diff.difference import Difference, Gap
from tandv.analysis.diff.names import proposed_map
from tandv.analysis.diff.runs import diff

__all__ = ["Difference", "Gap", "diff", "proposed_map"]

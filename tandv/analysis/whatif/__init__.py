"""What-if: what casts to other number formats would do to the tensors of a log, and a plan made from it."""

from tandv.analysis.whatif.plan import Choice, Failure, Plan, formats_in, read_plan
from tandv.analysis.whatif.planning import whatif_plan
from tandv.analysis.whatif.prediction import QUANTITIES, Formats, whatif

__all__ = ["QUANTITIES", "Choice", "Failure", "Formats", "Plan", "formats_in", "read_plan", "whatif", "whatif_plan"]

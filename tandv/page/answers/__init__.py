"""What the page asks about runs, and the answers: see `Answers`."""

from tandv.page.answers.answers import Answers
from tandv.page.answers.curves_of_a_run import CurvesOnly
from tandv.page.answers.opening import answers_of
from tandv.page.answers.run import Run

__all__ = ["Answers", "CurvesOnly", "Run", "answers_of"]

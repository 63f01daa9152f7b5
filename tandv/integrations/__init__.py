"""Callbacks for trainers, each in a module of its own, and other tools that show what was recorded.

`tandv.integrations.lightning`, `tandv.integrations.transformers` and `tandv.integrations.keras` have a `TandvCallback`
each; the package that it is for is imported there alone.
"""

from tandv.exports import *  # noqa: F403
from tandv.exports import __all__ as __all__

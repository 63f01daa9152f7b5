"""The log: a DataFrame with one row per tensor per step, how it is checked, built, joined and asked."""

from tandv.log.logframe import *  # noqa: F403
from tandv.log.logframe import __all__ as __all__

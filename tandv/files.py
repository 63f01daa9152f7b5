"""Logs on disk: pickle, parquet, csv and the folder of a run."""

from tandv.log.files import *  # noqa: F403
from tandv.log.files import __all__ as __all__

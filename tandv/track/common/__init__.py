"""Logs and training curves under the published import path; nothing here needs torch or JAX.

>>> from tandv.track.common import read_run
>>> df = read_run("tandv-runs/demo")
"""

from tandv.curves import TrainingStats
from tandv.log.files import read_csv, read_parquet, read_pickle, read_training_stats
from tandv.log.logframe import LogFrame, SchemaError, SchemaException
from tandv.log.run import read_run
from tandv.log.status import run_status

__all__ = [
    "LogFrame",
    "SchemaError",
    "SchemaException",
    "TrainingStats",
    "read_csv",
    "read_parquet",
    "read_pickle",
    "read_run",
    "read_training_stats",
    "run_status",
]

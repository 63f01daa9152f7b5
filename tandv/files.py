"""Logs on disk: pickle, parquet, csv and the folder of a run."""

from tandv.log.files import (
    PublishedLog,
    UnreadableFile,
    read_csv,
    read_parquet,
    read_pickle,
    read_training_stats,
    write_csv,
    write_parquet,
    write_pickle,
)
from tandv.log.run import DamagedPart, parts, read_run

__all__ = [
    "DamagedPart",
    "PublishedLog",
    "UnreadableFile",
    "parts",
    "read_csv",
    "read_parquet",
    "read_pickle",
    "read_run",
    "read_training_stats",
    "write_csv",
    "write_parquet",
    "write_pickle",
]

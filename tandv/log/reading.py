"""`read`: one door for logs in files and folders, which looks at what is there and not at its name."""

import pandas as pd

from tandv.log._opening import AnyPath
from tandv.log.opened import Log


def read(path: AnyPath) -> pd.DataFrame:
    """Open a log: the folder of a run, finished or not, or a file in pickle, parquet or csv, whatever it is called.

    >>> from tandv.log.example import example_log
    >>> from tandv.log.files import write_parquet
    >>> write_parquet(example_log(), "downloaded")
    >>> read("downloaded").shape
    (1250, 60)

    Args:
        path: the folder that a tracker made (`tracker.path`), or a file (`tracker.out_path`), also at an address such
            as "s3://bucket/run".

    Raises FileNotFoundError if nothing is there, UnreadableFile saying what it is if it is no log or is damaged,
    SchemaError naming everything in which a table differs from a log.
    """
    return Log(path).frame()

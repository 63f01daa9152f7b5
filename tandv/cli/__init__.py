"""The command line: the commands (`app`), and what each does once its options are read."""

from tandv.cli.app import app

__all__ = ["app"]

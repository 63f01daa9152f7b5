"""The commands of the shell (`app`), and what each does once its options are read."""

from tandv.cli.app import app

__all__ = ["app"]

"""The command line: the commands in groups, and what each does once its options are read.

What a command needs is imported when it runs, so that `--help` is fast.
"""

from tandv.cli import run_commands, checkpoint_commands, log_commands  # isort: skip  # in the order of --help
from tandv.cli.app import app

__all__ = ["app", "checkpoint_commands", "log_commands", "run_commands"]

"""Readers of checkpoint files: one for each kind of file, and `opening`, which chooses one."""

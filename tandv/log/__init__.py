"""The log: one row per tensor and step, how it is checked, built, asked, and kept in files.

`logframe` selects from a log; `files` opens and writes one; `run` opens the folder of a run; `schema` says what
makes a table a log.
"""

"""The log: one row per tensor and step, how it is checked, built, asked, and kept in files.

`logframe` asks a log; `files` opens and writes one; `schema` says what makes a table a log.
"""

"""Measure tensors: one pass over their bytes, into rows that merge (see `tandv.statistics`)."""

from tandv.measure.host import KINDS, MEASURED, add, add_one, dtype_name, fills_its_memory, measure, pool, tables

__all__ = ["KINDS", "MEASURED", "add", "add_one", "dtype_name", "fills_its_memory", "measure", "pool", "tables"]

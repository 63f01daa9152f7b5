"""Curves whose transitions are known: families without any, families with planted ones, and recorded runs."""

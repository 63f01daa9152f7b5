"""Plots of a log."""

"""Plots of curves."""

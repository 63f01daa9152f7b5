"""Plots of named arrays: attention, correlations, filters, representations."""

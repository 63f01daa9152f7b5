"""Insight into optimisation (`track(insight=...)`): its settings, its numbers, and the raster of gradient signs."""

"""The raster of gradient signs, from a run's folder."""

from tandv.log.raster import *  # noqa: F403
from tandv.log.raster import __all__ as __all__

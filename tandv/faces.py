"""Names under which others have asked for what tandv does (see `tandv.compat`)."""

from tandv.compat import *  # noqa: F403
from tandv.compat import __all__ as __all__

"""Curves on a page for the browser: one file that works offline, or a page that lives until it is ended.

>>> from tandv import page
>>> page.save({"seed 0": {"loss": [2.0, 1.0]}, "seed 1": {"loss": [2.5, 0.9]}}, "metrics.html")
PosixPath('metrics.html')

`page.show` takes the same curves and opens them in the browser until Ctrl-C.
"""

from tandv.page.document import document, save
from tandv.page.loopback import show

__all__ = ["document", "save", "show"]

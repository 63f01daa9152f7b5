"""Curves on a page for the browser: one file that works offline, or a page that lives until it is ended.

>>> from tandv import page
>>> page.save(curves, "metrics.html")  # doctest: +SKIP
>>> page.show({"seed 0": curves, "seed 1": others})  # doctest: +SKIP
"""

from tandv.page.document import document, save
from tandv.page.loopback import show

__all__ = ["document", "save", "show"]

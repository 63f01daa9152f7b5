"""Curves as a page for the browser: one file that works offline, or a page served until Ctrl-C.

>>> from tandv import page
>>> page.save({"loss": [2.0, 1.0]}, "metrics.html").name
'metrics.html'
"""

from tandv.page.document import document, save, show

__all__ = ["document", "save", "show"]

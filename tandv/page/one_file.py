"""The page as one file: it works from disk and without a network, with its data pooled to what a screen shows.

Its content security policy admits its own script and style by their hashes and nothing else, so that markup that might
get into it through a name cannot run. The data stand there compressed, in letters of base64, which no tag can be made
of.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from tandv.page.bundle import hash_of, joined, page, style


def document(data: bytes, title: str, view: Mapping[str, Any] | None = None) -> str:
    """Return the text of one HTML file.

    >>> from tandv.page.envelope import pack
    >>> "default-src 'none'; script-src 'sha256-" in document(pack([]), "a run")
    True

    Args:
        data: what its questions are answered from: an envelope.
        title: the title of the page, as plain text.
        view: what is shown first: a part of the page's state.
    """
    script = "(() => {\n'use strict';\n" + joined("one_file.js") + "})();\n"
    sheet = style()
    policy = (
        f"default-src 'none'; script-src {hash_of(script)}; style-src {hash_of(sheet)}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    packed = gzip.compress(data, 6, mtime=0)
    first = json.dumps(dict(view or {}), allow_nan=False).encode()  # ASCII, as `atob` of a browser gives
    body = (
        f'<script type="text/plain" id="tandv-data">{b64encode(packed).decode()}</script>'
        f'<script type="text/plain" id="tandv-view">{b64encode(first).decode()}</script>'
        f"<script>{script}</script>"
    )
    return page(title, body, policy=policy, head=f"<style>{sheet}</style>")

"""Sections of a report as Markdown, and as one HTML file that contains its pictures and loads nothing."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tandv.analysis.findings.report import escaped

_STYLE = """
body { font: 15px/1.55 system-ui, sans-serif; color: #17212c; background: #fff; max-width: 62rem; margin: 2rem auto;
  padding: 0 1.2rem; }
h1 { font-size: 1.6rem; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-top: 1px solid #e8ebef; padding-top: 1rem; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .9rem; display: block; overflow-x: auto; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e8ebef; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { color: #64707d; font-weight: 600; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; } figcaption { color: #64707d; font-size: .9rem; }
.lead { font-size: 1.1rem; }
figure { overflow-x: auto; } @media (max-width: 40rem) { img { max-width: none; width: 42rem; } }
@media (prefers-color-scheme: dark) { body { color: #e8eaed; background: #11141b; } th, figcaption { color: #929ca8; }
  h2, th, td { border-color: #272d37; } img { background: #fff; } }
"""


class Section(NamedTuple):
    """A piece of the report: a heading ("h1", "h2"), "lead" or "text", "list", "table" (header first) or "picture"."""

    kind: str
    content: Any


def as_markdown(content: Sequence[Section]) -> str:
    """Return sections as Markdown; names from the run are escaped, so that they cannot become markup."""
    parts = []
    for kind, what in content:
        if kind in ("h1", "h2"):
            parts.append(f"{'#' * int(kind[1])} {escaped(what)}")
        elif kind in ("lead", "text"):
            parts.append(escaped(what))
        elif kind == "list":
            parts.append("\n".join(f"- {escaped(one)}" for one in what))
        elif kind == "picture":
            parts.append(f"![{escaped(what.caption)}]({what.file})")
        else:
            header, *rows = [[escaped(cell) for cell in row] for row in what]
            rule = ["---", *["---:"] * (len(header) - 1)]
            parts.append("\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *rows]))
    return "\n\n".join(parts) + "\n"


def as_html(content: Sequence[Section], folder: Path) -> str:
    """Return sections as one HTML page that contains the pictures of `folder`; it loads nothing."""
    title = html.escape(next(what for kind, what in content if kind == "h1"))
    body = []
    for kind, what in content:
        if kind in ("h1", "h2"):
            body.append(f"<{kind}>{html.escape(what)}</{kind}>")
        elif kind in ("lead", "text"):
            body.append(f"<p{' class=lead' * (kind == 'lead')}>{_text(what)}</p>")
        elif kind == "list":
            body.append("<ul>" + "".join(f"<li>{_text(one)}</li>" for one in what) + "</ul>")
        elif kind == "picture":
            data = base64.b64encode((folder / what.file).read_bytes()).decode()
            caption = html.escape(what.caption)
            image = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
            body.append(f"<figure>{image}<figcaption>{caption}</figcaption></figure>")
        else:
            header, *rows = [[html.escape(cell) for cell in row] for row in what]
            lines = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in header)}</tr>"]
            lines += [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
            body.append(f"<table>{''.join(lines)}</table>")
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += f"<title>{title}</title><style>{_STYLE}</style>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


def _text(words: str) -> str:
    """Return a sentence as HTML, in which no line begins with a sign of percent."""
    return html.escape(words).replace(" %", "&nbsp;%")

"""Findings as text, and as one page that needs nothing else: no script, no font, no other file."""

from html import escape

from tandv.analysis.findings.finding import Finding
from tandv.analysis.findings.rules import Examined, by_severity

_STYLE = """
:root { color-scheme: light dark; --edge: #8886; --error: #c62828; --warning: #b26a00; --note: #1565c0; }
@media (prefers-color-scheme: dark) { :root { --error: #ff8a80; --warning: #ffb74d; --note: #82b1ff; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; }
h2 { font-size: 1.05rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
article { border: 1px solid var(--edge); border-left: .4rem solid var(--edge); border-radius: .3rem;
  padding: .7rem 1rem; margin: 1rem 0; }
.error { border-left-color: var(--error); } .warning { border-left-color: var(--warning); }
.note { border-left-color: var(--note); }
.error b { color: var(--error); } .warning b { color: var(--warning); } .note b { color: var(--note); }
p { margin: .3rem 0; overflow-wrap: anywhere; } ul { margin: .3rem 0; padding-left: 1.2rem; }
"""


def as_html(found: Examined, title: str) -> str:
    """Return findings as the text of an HTML file.

    >>> "Nothing was found" in as_html(Examined([], []), "Findings of run")
    True

    Args:
        found: the findings, and what could not be checked.
        title: the heading of the page.
    """
    articles = "\n".join(map(_article, found.findings)) or "<p>Nothing was found.</p>"
    not_checked = "".join(f"<li>{escape(sentence)}</li>" for sentence in found.not_checked)
    rest = f"<h2>Not checked</h2>\n<ul>{not_checked}</ul>" if not_checked else ""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n{articles}\n{rest}\n</html>\n"
    )


def _article(one: Finding) -> str:
    sentences = "".join(f"<p>{escape(words)}</p>" for words in (one.what, one.before))
    evidence = "".join(f"<li>{escape(words)}</li>" for words in one.evidence)
    return (
        f'<article class="{one.severity}"><h2><b>{one.severity}</b> · {escape(one.kind)} · {escape(one.tensor_type)} · '
        f"{escape(one.layer)} · step {one.step:,}</h2>{sentences}<p>To do: {escape(one.advice)}</p>"
        + (f"<ul>{evidence}</ul>" if evidence else "")
        + "</article>"
    )


def as_text(found: Examined) -> str:
    """Return findings as paragraphs, the gravest first, and what could not be checked.

    >>> as_text(Examined([], ["the run has no loss"])).splitlines()
    ['Nothing was found.', '', 'Not checked:', '  the run has no loss']

    Args:
        found: the findings, and what could not be checked.
    """
    counts = [
        f"{count} {name}{'s' if count > 1 else ''}" for name, count in by_severity(found.findings).items() if count
    ]
    lines = [f"Findings: {', '.join(counts)}." if counts else "Nothing was found."]
    for one in found.findings:
        lines += ["", *_paragraph(one)]
    if found.not_checked:
        lines += ["", "Not checked:", *(f"  {sentence}" for sentence in found.not_checked)]
    return "\n".join(lines)


def _paragraph(one: Finding) -> list[str]:
    return [
        f"{one.severity} · {one.kind} · {one.tensor_type} · {one.layer} · step {one.step:,}",
        f"  {one.what}",
        f"  {one.before}",
        f"  To do: {one.advice}",
        *(f"    {sentence}" for sentence in one.evidence),
    ]

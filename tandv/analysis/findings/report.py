"""Findings as text, as Markdown, and as one page that needs nothing else: no script, no font, no other file."""

import re
from collections.abc import Sequence
from html import escape

from tandv.analysis.findings.finding import EVERY, Finding
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
    lines = [f"Findings: {_counted(found.findings)}." if found.findings else "Nothing was found."]
    for one in found.findings:
        lines += ["", *_paragraph(one)]
    if found.not_checked:
        lines += ["", "Not checked:", *(f"  {sentence}" for sentence in found.not_checked)]
    return "\n".join(lines)


def summary(found: Examined) -> str:
    """Return one paragraph in plain words: the gravest finding, since when, where, and how many others there are.

    >>> summary(Examined([], ["the run has no loss"]))
    'The rules find nothing wrong in its log; 1 thing could not be checked.'
    >>> one = Finding("dead", "warning", "Activation", "act", 1040, {}, "All is zero.", "It was not.", "Look at it.")
    >>> summary(Examined([one, one._replace(severity="note")], []))
    'Since step 1,040, in act, a warning (dead): All is zero. It was not. To do: Look at it. Besides, 1 note.'

    Args:
        found: the findings, and what could not be checked.
    """
    if not found.findings:
        lacking = len(found.not_checked)
        rest = f"; {lacking} thing{'s' * (lacking > 1)} could not be checked" if lacking else ""
        return f"The rules find nothing wrong in its log{rest}."
    worst, *others = found.findings
    where = "of no single layer" if worst.layer == EVERY else f"in {worst.layer}"
    severity = f"{'an' if worst.severity == 'error' else 'a'} {worst.severity}"
    words = f"Since step {worst.step:,}, {where}, {severity} ({worst.kind.replace('_', ' ')}): "
    words += f"{worst.what} {worst.before} To do: {worst.advice}"
    return words + (f" Besides, {_counted(others)}." if others else "")


def as_markdown(found: Sequence[Finding]) -> str:
    """Return findings as Markdown, a paragraph each; names are escaped, so that they cannot become markup.

    >>> print(as_markdown([Finding("dead", "note", "Gradient", "a*", 4, {}, "'a*' is 0.", "It was not.", "Look.")]))
    **note · dead · Gradient · a\\* · step 4**
    <BLANKLINE>
    'a\\*' is 0. It was not. To do: Look.

    Args:
        found: the findings.
    """
    parts: list[str] = []
    for one in found:
        parts += [f"**{escaped(_heading(one))}**", escaped(f"{one.what} {one.before} To do: {one.advice}")]
        if one.evidence:
            parts.append("\n".join(f"- {escaped(sentence)}" for sentence in one.evidence))
    return "\n\n".join(parts)


def escaped(text: str) -> str:
    """Return a text in which nothing is markup for Markdown.

    >>> escaped("<b> x_1 *_y_*")
    '&lt;b&gt; x_1 \\\\*\\\\_y\\\\_\\\\*'

    Args:
        text: the text; its line breaks become blanks.
    """
    return re.sub(r"([\\`*\[\]|#]|(?<!\w)_|_(?!\w))", r"\\\1", escape(text, quote=False).replace("\n", " "))


def _counted(found: Sequence[Finding]) -> str:
    counts = [f"{count} {name}{'s' * (count > 1)}" for name, count in by_severity(found).items() if count]
    return ", ".join(counts)


def _heading(one: Finding) -> str:
    return f"{one.severity} · {one.kind} · {one.tensor_type} · {one.layer} · step {one.step:,}"


def _paragraph(one: Finding) -> list[str]:
    return [
        _heading(one),
        f"  {one.what}",
        f"  {one.before}",
        f"  To do: {one.advice}",
        *(f"    {sentence}" for sentence in one.evidence),
    ]

"""Pages of the site that are made of the code and of files beside docs/: a hook of MkDocs, named in mkdocs.yml."""

import re
from pathlib import Path
from typing import Any

import click
import typer.cli
from mkdocs.structure.files import File, Files

from tandv.cli import app

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/tandv/tandv/blob/main"

# What people import.
REFERENCE = (
    "tandv",
    "tandv.track.torch",
    "tandv.track.jax",
    "tandv.track.common",
    "tandv.logframe",
    "tandv.files",
    "tandv.curves",
    "tandv.formats",
    "tandv.viz",
    "tandv.analysis.findings",
    "tandv.analysis.diff",
    "tandv.analysis.whatif",
    "tandv.analysis.widths",
    "tandv.analysis.transitions",
    "tandv.analysis.attention",
    "tandv.analysis.circuits",
    "tandv.analysis.head_weights",
    "tandv.analysis.correlations",
    "tandv.analysis.features",
    "tandv.analysis.generalisation",
    "tandv.analysis.moments",
    "tandv.analysis.coordination",
    "tandv.analysis.norms",
    "tandv.analysis.optimisation",
    "tandv.analysis.reliance",
    "tandv.analysis.representations",
    "tandv.analysis.similarity",
    "tandv.checkpoints",
    "tandv.probes",
    "tandv.raster",
    "tandv.dossier",
    "tandv.integrations",
    "tandv.integrations.lightning",
    "tandv.integrations.transformers",
    "tandv.integrations.keras",
    "tandv.integrations.pictures",
    "tandv.compat",
)


def on_config(config: Any) -> Any:
    """Put the reference into the navigation, in the order above."""
    for section in config.nav:
        if isinstance(section, dict) and "Reference" in section:
            made = [{name: f"reference/{name}.md"} for name in REFERENCE]
            section["Reference"] = ["shell.md", *made]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that nobody writes by hand."""
    made = {"changelog.md": (ROOT / "CHANGELOG.md").read_text(), "shell.md": _shell()}
    made |= {f"reference/{name}.md": f"# `{name}`\n\n::: {name}\n" for name in REFERENCE}
    for place, content in made.items():
        files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to files that are not pages to the repository."""
    up = (page.file.src_uri.count("/") + 1) * "../"
    return re.sub(rf"\]\({re.escape(up)}(?!\.\./)([^)]+)\)", rf"]({REPOSITORY}/\1)", markdown)


def _shell() -> str:
    command = typer.main.get_command(app)
    text = typer.cli.get_docs_for_click(obj=command, ctx=click.Context(command), name="tandv")
    return "# The shell\n\n" + text.replace("# `tandv`\n", "", 1)

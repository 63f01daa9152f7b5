"""What `tandv demo` ends with: the lines for a loop of one's own, a picture and a page of the run."""

import os
import shlex
import shutil
import sys
from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

from tandv.analysis.findings import Finding, findings
from tandv.page.opening import measured, opened
from tandv.page.view import save_page

_LOOPS = {
    "torch": """
In a PyTorch loop of your own:
  from tandv.track.torch import track

  with track(model, optimizer=optimizer) as tracker:  # around the loop
      tracker.step(loss=loss)                         # after each optimizer.step()""",
    "jax": """
In a JAX loop of your own:
  from tandv.track.jax import track

  with track(model, optimizer) as tracker:  # of flax.nnx or equinox
      loss = tracker.intercept(train_step, model, optimizer, batch)  # for train_step(model, optimizer, batch)
      tracker.step(loss=loss)""",
}


def loops(installed: Collection[str] | None = None) -> str:
    """Return the lines that put tandv into a training loop, of each framework that is installed.

    >>> print(loops(["torch"]))
    <BLANKLINE>
    In a PyTorch loop of your own:
      from tandv.track.torch import track
    <BLANKLINE>
      with track(model, optimizer=optimizer) as tracker:  # around the loop
          tracker.step(loss=loss)                         # after each optimizer.step()

    Args:
        installed: "torch", "jax" or both; by default those that can be imported.
    """
    there = [one for one in _LOOPS if find_spec(one)] if installed is None else installed
    return "\n".join(_LOOPS[one] for one in there)


def folder_of(log: Path) -> Path:
    """Return the folder of the run that a log belongs to: its own, or itself where no one file was made of it.

    Args:
        log: the path of the log.
    """
    return log if log.is_dir() else log.parent


def short(path: Path) -> str:
    """Return a path as it is typed where one stands: relative to there if it lies below, else as it is.

    Args:
        path: a file or a folder.
    """
    return os.path.relpath(path) if Path.cwd() in path.absolute().parents else str(path)


def command() -> str:
    """Return how `tandv` is called in this shell: by its name, or by the path that it was started by."""
    started = Path(sys.argv[0])
    return "tandv" if started.name != "tandv" or shutil.which("tandv") else shlex.quote(short(started))


def gravest(run: Path) -> Finding | None:
    """Return the gravest finding of a run, None if there is none.

    Args:
        run: its folder.
    """
    return next(iter(findings(run)), None)


def picture(run: Path, at: Finding | None = None) -> Path:
    """Draw a run as a whole into `overview.png` in its folder; return its path.

    Args:
        run: its folder.
        at: the finding at whose layer and step the picture stands.

    Raises ModuleNotFoundError where nothing that draws is installed.
    """
    from tandv import viz

    if at is None:
        figure = viz.overview(run)
    else:
        layer = None if at.layer == "*" else at.layer
        tt = None if at.tensor_type == "loss" else at.tensor_type
        figure = viz.overview(run, layer=layer, tt=tt, step=at.step, dtype_annotation="float16")
    figure.savefig(path := run / "overview.png", dpi=120)
    return path


def page(run: Path) -> Path:
    """Write the page of a run to `page.html` in its folder, which needs no server; return its path.

    Args:
        run: its folder.
    """
    return save_page(opened([run], measured), run / "page.html", {}, predict=False)

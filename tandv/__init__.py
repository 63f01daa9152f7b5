"""Track and visualise what happens inside a neural network while it trains.

`read` opens a log, `findings` says what is wrong in one, `diff` where two part, `compare` where two models do,
`coordinate_check` how sizes change with the width of a network, `whatif` and `whatif_plan` what casts to other number
formats would do, `view` shows the page of a run, `interactive` a plot with controls, `example_log` makes a log up,
`show_versions` prints what a report of a bug should say. Parts are `tandv.track`, `viz`, `logframe`, `checkpoints`,
`probes`, `curves`, `analysis`, `dossier` and `integrations`. All of it is imported when it is asked for; `import tandv`
alone brings nothing along.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tandv.analysis.diff import diff
    from tandv.analysis.findings import findings
    from tandv.analysis.whatif import whatif, whatif_plan
    from tandv.analysis.widths import coordinate_check
    from tandv.log.example import example_log
    from tandv.log.reading import read
    from tandv.page.view import view
    from tandv.track.comparison import compare
    from tandv.versions import show_versions
    from tandv.viz import interactive

__all__ = [
    "__version__", "compare", "coordinate_check", "diff", "example_log", "findings", "interactive", "read",
    "show_versions", "view", "whatif", "whatif_plan",
]  # fmt: skip
__version__ = "0.2.0"

_MODULES = {
    "compare": "tandv.track.comparison",
    "coordinate_check": "tandv.analysis.widths",
    "diff": "tandv.analysis.diff",
    "example_log": "tandv.log.example",
    "findings": "tandv.analysis.findings",
    "interactive": "tandv.viz",
    "read": "tandv.log.reading",
    "show_versions": "tandv.versions",
    "view": "tandv.page.view",
    "whatif": "tandv.analysis.whatif",
    "whatif_plan": "tandv.analysis.whatif",
}

_PARTS = (
    "analysis", "checkpoints", "curves", "dossier", "integrations", "logframe", "page", "probes", "track", "viz",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    if name in _PARTS:
        return import_module(f"tandv.{name}")
    raise AttributeError(
        f"module 'tandv' has no attribute {name!r}; it has {', '.join(_MODULES)}, and {', '.join(_PARTS)}"
    )


def __dir__() -> list[str]:
    return sorted({*__all__, *_PARTS})

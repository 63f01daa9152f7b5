"""What a report of a bug should say: the versions of tandv, Python and the packages that it works with."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from tandv import __version__

PACKAGES = (
    "numpy", "pandas", "pyarrow", "scipy", "numba", "ml_dtypes", "matplotlib", "torch", "triton", "jax", "jaxlib",
    "flax", "optax", "equinox", "lightning", "transformers", "accelerate", "keras", "wandb", "tensorboard",
    "mlflow-skinny", "trackio", "fsspec",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the version of everything by its name, "" for a package that is not installed; nothing is imported.

    >>> versions()["tandv"], "torch" in versions()
    ('...', True)
    """
    found = {
        "tandv": __version__, "python": sys.version.split()[0], "system": platform.platform(),
        "processor": platform.machine(),
    }  # fmt: skip
    return found | {name: _version(name) for name in PACKAGES}


def show_versions() -> None:
    """Print the versions of tandv, Python and the packages that it works with, for a report of a bug.

    >>> show_versions()
    tandv          ...
    python         ...
    """
    for name, found in versions().items():
        print(f"{name:14} {found or '-'}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""

"""How long block formats take to measure on one core of the CPU, beside the row of statistics, and against torchao.

`python benchmarks/blocks.py` writes results/blocks.md. The comparison needs torchao (`pip install --no-deps torchao`);
without it there is none, which the result says. torchao stores a scale of 2^-127 but divides by 2^-126, so that rows
with such blocks are left out; it has no NVFP4 scale below 2^-6, as `nvfp4_floor` here.
"""

import os
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # the repository, not this folder
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import platform
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from tandv import measure
from tandv.formats import exponent
from tandv.measure.blocks import BLOCK_FORMATS, block_format, block_measure

RESULT = Path(__file__).parent / "results/blocks.md"
RANDOM = np.random.default_rng(0)
PYTORCH = {"mxfp8_e4m3": torch.float8_e4m3fn, "mxfp8_e5m2": torch.float8_e5m2, "mxfp4": torch.float4_e2m1fn_x2}


def nanoseconds(function: Callable[[], Any], values: int) -> float:
    function()
    best = min((lambda start: (function(), time.perf_counter() - start)[1])(time.perf_counter()) for _ in range(15))
    return best / values * 1e9


def speeds() -> list[str]:
    x = RANDOM.standard_normal((1024, 1024)).astype(np.float32)
    row = nanoseconds(lambda: measure.measure([x]), x.size)
    lines = [
        f"The row of statistics itself takes {row:.2f} ns.",
        "",
        "| format | last axis | first axis |",
        "|---|---|---|",
    ]
    for name in BLOCK_FORMATS:
        last, first = (nanoseconds(lambda a=axis, n=name: block_measure(x, [n], a), x.size) for axis in (-1, 0))
        lines.append(f"| {name} | {last:.2f} | {first:.2f} |")
    mx = [name for name in BLOCK_FORMATS if name.startswith("mx")]
    each = nanoseconds(lambda: block_measure(x, mx), x.size) / len(mx)
    return [*lines, "", f"The five MX formats of one tensor together take {each:.2f} ns per element and format."]


def every_bfloat16() -> np.ndarray:
    bits = np.arange(65536, dtype=np.uint32) << 16
    x = bits.view(np.float32)
    x = x[np.isfinite(x)]
    x = x[np.argsort(np.abs(x), kind="stable")]
    for start in range(0, len(x), 1024):
        RANDOM.shuffle(x[start : start + 1024])
    return x[: len(x) // 256 * 256].reshape(-1, 256)


def data() -> dict[str, np.ndarray]:
    bits = RANDOM.integers(0, 2**32, (512, 256), dtype=np.uint32).view(np.float32)
    return {
        "normal": RANDOM.standard_normal((256, 256)).astype(np.float32),
        "Cauchy": RANDOM.standard_cauchy((256, 256)).astype(np.float32),
        "ties": (RANDOM.integers(-64, 65, (256, 256)) / 8).astype(np.float32),
        "every bfloat16": every_bfloat16(),
        "any finite bits": np.where(np.isfinite(bits), bits, np.float32(1)),
    }


def of_torchao(name: str, x: np.ndarray) -> np.ndarray:
    """Return the values that torchao's emulation gives, float64."""
    from torchao.prototype.mx_formats import constants, kernels  # pyright: ignore[reportMissingImports]
    from torchao.prototype.mx_formats.mx_tensor import to_mx  # pyright: ignore[reportMissingImports]
    from torchao.prototype.mx_formats.nvfp4_tensor import (  # pyright: ignore[reportMissingImports]
        f4_unpacked_to_f32,
        nvfp4_quantize,
        per_tensor_amax_to_scale,
        unpack_uint4,
    )

    given = torch.from_numpy(x)
    if name == "nvfp4_floor":
        whole = per_tensor_amax_to_scale(given.abs().amax())
        scales, packed = nvfp4_quantize(given, 16, whole)
        values = f4_unpacked_to_f32(unpack_uint4(packed)).double().reshape(*scales.shape, 16)
        return (values * scales.double()[..., None] * whole.double()).reshape(x.shape).numpy()
    sixes = {"mxfp6_e2m3": constants.DTYPE_FP6_E2M3, "mxfp6_e3m2": constants.DTYPE_FP6_E3M2}
    scales, packed = to_mx(given, (PYTORCH | sixes)[name], 32)
    if name == "mxfp4":
        values = f4_unpacked_to_f32(unpack_uint4(packed))
    elif name in sixes:
        values = getattr(kernels, f"f6_{name.removeprefix('mxfp6_')}_unpacked_to_f32")(packed)
    else:
        values = packed.float()
    powers = scales.view(torch.uint8).numpy().astype(int) - 127
    return np.ldexp(values.double().numpy().reshape(*powers.shape, 32), powers[..., None]).reshape(x.shape)


def against_torchao() -> list[str]:
    if not find_spec("torchao"):
        return ["torchao was not installed: not compared."]
    lines = [
        f"torchao {version('torchao')}; of each format and set of values the largest relative difference of the",
        "squared error of a row (of the MX formats; of the whole where there is one scale for it), and whether as many",
        "values become zero in each. Rows whose values torchao halves (a scale of 2^-127) are left out.",
        "",
        "| format | values | measured apart | squared error | zeros |",
        "|---|---|---|---|---|",
    ]
    for name in ("mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp4", "nvfp4_floor"):
        for label, x in data().items():
            one = block_format(name)
            if one.scale == "mx":  # rows without a block whose scale would be 2^-127
                tops = np.abs(x).reshape(len(x), -1, one.columns).max(-1)
                x = x[(tops >= 2.0 ** (exponent(one.element.max) - 126)).all(1)]
            theirs = of_torchao(name, x)
            parts = list(zip(x[:, None], theirs[:, None], strict=True)) if one.scale == "mx" else [(x, theirs)]
            apart, same = 0.0, True
            for mine, cast in parts:
                error, zeros = ((cast - mine) ** 2).sum(), int(((cast == 0) & (mine != 0)).sum())
                found = block_measure(mine, [name])[0]
                apart = max(apart, abs(found[0] - error) / max(error, 1e-300))
                same = same and found[2] == zeros
            lines.append(f"| {name} | {label} | {len(parts):,} | {apart:.0e} | {'the same' if same else 'others'} |")
    return lines


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    warnings.filterwarnings("ignore")
    known = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    cpu = known[0].partition(":")[2].strip() if known else platform.processor()
    versions = f"torch {torch.__version__}, numba {version('numba')}"
    lines = [
        *("# Block formats", ""),
        f"`python benchmarks/blocks.py`: {cpu}, one core; {versions}. Nanoseconds per element of a float32",
        "matrix of 1024 × 1024, the best of 15, with the largest values and the scales of the blocks and the squares.",
        *("", *speeds(), "", "## Against torchao", "", *against_torchao(), ""),
    ]
    RESULT.write_text("\n".join(lines))
    print(RESULT.read_text())


if __name__ == "__main__":
    main()

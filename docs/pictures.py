"""Make the README's pictures: the log of `tandv demo`, drawn by every plot.

python docs/pictures.py
"""

import tempfile
from pathlib import Path

from tandv import demo, viz
from tandv.log import logframe
from tandv.track.common import read_pickle

HERE = Path(__file__).parent / "pictures"
ATTENTION = [f"layers.{i}.attention.{w}" for i in (0, 3) for w in ("wq", "wo")]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = demo.run(steps=100, out=Path(folder) / "demo")
        df = read_pickle(log)
    layer, last = "layers.3.attention.wq", logframe.steps(df)[-1]
    figures = {
        "overview": viz.overview(df, layer=layer, tt="Gradient", step=last, title="tandv demo"),
        "overview_dark": viz.overview(df, layer=layer, tt="Gradient", step=last, title="tandv demo", theme="dark"),
        "scalar_global_heatmap": viz.scalar_global_heatmap(df, tt="Gradient", scalar_metric="rm2"),
        "scalar_line": viz.scalar_line(
            df, layer=ATTENTION, tt="Activation", scalar_metric=["rm2", "max_abs"], col_wrap=2
        ),
        "exp_hist": viz.exp_hist(
            df, layer=layer, tt="Gradient", step=last, dtype_annotation=["float8_e4m3fn", "float8_e5m2"]
        ),
        "exp_heatmap": viz.exp_heatmap(df, layer=layer, tt="Gradient", dtype_annotation="float8_e5m2"),
    }
    HERE.mkdir(exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(HERE / f"{name}.png", dpi=160, facecolor=figure.get_facecolor())
        print(HERE / f"{name}.png")


if __name__ == "__main__":
    main()

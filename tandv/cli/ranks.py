"""What `tandv log ranks` does once its options are read."""

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tandv.cli.export import names, steps_of
from tandv.cli.logfile import logged
from tandv.cli.output import USAGE, answer, stop, tell

if TYPE_CHECKING:
    import pandas as pd


def ranks(
    run: str,
    statistic: str,
    layers: Sequence[str] | None,
    tensor_types: Sequence[str] | None,
    steps: str | None,
    most: int,
    as_json: bool = False,
) -> None:
    """Print the tensors and steps in which the ranks differ most in a statistic, and the ranks at both ends."""
    with logged(f"tandv log ranks {run}"):
        from tandv.log.across_ranks import rank_extremes
        from tandv.messages import UnknownName

        try:
            found = rank_extremes(run, statistic, layer=names(layers), tt=names(tensor_types), step=steps_of(steps))
        except (ValueError, OSError, UnknownName) as error:
            stop(str(error), USAGE)
        apart = _most_apart(found)
        if as_json:
            rows = apart.iloc[:most].to_dict("records")
            shown = [{str(key): _plain(value) for key, value in row.items()} for row in rows]
            answer(json.dumps(shown, ensure_ascii=False))
            return
        if apart.empty:
            answer(f"The ranks have the same {statistic} in all of {len(found):,} rows.")
            return
        lines = [("STEP", "TYPE", "LAYER", "SMALLEST", "RANK", "LARGEST", "RANK")]
        for row in apart.iloc[:most].to_dict("records"):
            name = f"{row['name']} ({row['phase']})" if row.get("phase") else str(row["name"])
            low, high = (f"{row[end]:.4g}" for end in ("smallest", "largest"))
            of_low, of_high = (str(int(row[f"rank_of_{end}"])) for end in ("smallest", "largest"))
            lines.append((f"{row['step']:,}", str(row["tensor_type"]), name, low, of_low, high, of_high))
        wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            answer("  ".join(word.ljust(width) for word, width in zip(line, wide, strict=True)).rstrip())
        largest = apart["rank_of_largest"].astype(int).value_counts()
        differ = f"{len(apart):,} of {len(found):,} rows differ in {statistic}"
        odd = f"rank {largest.index[0]} has the largest in {largest.iloc[0]:,} of these"
        tell(f"{differ}, shown are the {min(most, len(apart)):,} that differ most; {odd}")


def _most_apart(found: "pd.DataFrame") -> "pd.DataFrame":
    """Return the rows whose ranks differ, by the difference as a share of the value that is larger in size."""
    low, high = found["smallest"], found["largest"]
    size = low.abs().combine(high.abs(), max)
    share = ((high - low) / size.where(size > 0)).fillna(0.0)
    return (
        found.assign(_share=share)[share > 0]
        .sort_values("_share", ascending=False, kind="stable")
        .drop(columns="_share")
    )


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: NaN is null."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and math.isnan(value) else value

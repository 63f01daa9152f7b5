"""Models that several processes saved in parts: which file stands for them, and what cannot be measured of one part."""

import re
from pathlib import Path

_DEEPSPEED = re.compile(r"(zero_pp_rank_\d+_)?mp_rank_\d+_model_states\.pt")
_MEGATRON = "model_optim_rng.pt"
_OF_RANK = re.compile(r"(?P<before>.*)world_size_(?P<count>\d+)_rank_\d+(?P<after>.*)")
_JOIN = "each file holds a part of every tensor, and which part it does not say; join them first"


def standing_for_parts(folder: Path) -> Path | None:
    """Return the first part of what DeepSpeed or Megatron saved in a folder, None if it is none of theirs."""
    inside = list(folder.iterdir())
    found = [path for path in inside if _DEEPSPEED.fullmatch(path.name)]
    found += [at for path in inside if path.name.startswith("mp_rank_") and (at := path / _MEGATRON).exists()]
    return min(found, default=None)


def problem_of_parts(file: Path) -> str | None:
    """Return why a file cannot be measured by itself, and how its parts are joined; None if it can.

    >>> problem_of_parts(Path("global_step5/zero_pp_rank_0_mp_rank_00_model_states.pt"))
    'its weights are split over processes (DeepSpeed ZeRO-3); join them first with its script zero_to_fp32.py'

    Args:
        file: the file, or the first of several parts.
    """
    if file.name.startswith("zero_pp_rank_") and _DEEPSPEED.fullmatch(file.name):
        return (
            "its weights are split over processes (DeepSpeed ZeRO-3); join them first with its script zero_to_fp32.py"
        )
    if _DEEPSPEED.fullmatch(file.name) and (layers := len(list(file.parent.glob("layer_*-model_*-model_states.pt")))):
        return f"its layers are in files of their own, {layers} of them (DeepSpeed, pipeline parallel); join them first"
    if _DEEPSPEED.fullmatch(file.name):
        count = len(list(file.parent.glob("mp_rank_*_model_states.pt")))
        return _split(count, "DeepSpeed with a model that is parallel itself")
    if file.name == _MEGATRON and file.parent.name.startswith("mp_rank_"):
        return _split(len(list(file.parent.parent.glob(f"mp_rank_*/{_MEGATRON}"))), "Megatron")
    if re.fullmatch(r"consolidated\.\d+\.pth", file.name):
        return _split(len(list(file.parent.glob("consolidated.*.pth"))), "tensor parallel")
    if found := _OF_RANK.fullmatch(file.name):
        return _split(int(found["count"]), "fully sharded")
    return None


def _split(count: int, how: str) -> str | None:
    return f"it is one of {count} parts ({how}): {_JOIN}" if count > 1 else None

"""Which checkpoints of a folder are measured, and at which steps.

>>> find("checkpoints")[0]
Checkpoint(step=0, path=PosixPath('checkpoints/step_000000.safetensors'))
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from tandv.checkpoints.choosing import SeveralGroups, chosen, is_average, left_out
from tandv.checkpoints.discovery import AnyPath, Checkpoint, NoCheckpoints, by_name, in_folder, is_checkpoint, labels
from tandv.checkpoints.file_names import ENDINGS, stem_of
from tandv.checkpoints.grouping import Group, grouped, is_marked, is_part_of_a_models_name
from tandv.checkpoints.recorded import recorded_steps
from tandv.checkpoints.warnings import Remark, issue_warnings
from tandv.messages import UnknownName, named_arguments, some, unknown

_COUNTED = "the places of the files in the order of their names, 0, 1, 2, ...: the names hold no steps"


class GroupOfFiles(NamedTuple):
    """The files whose names differ by their step only.

    Args:
        name: their name with `*` for the step.
        files: how many they are.
        first: the lowest step.
        last: the highest step.
        measured: whether it is measured.
    """

    name: str
    files: int
    first: int | float
    last: int | float
    measured: bool


class Filters(NamedTuple):
    """Which files are taken, and how their steps are read: the options of `find`.

    Args:
        step_pattern: a regular expression whose one group is the step in a name.
        include: globs such as "model_*"; only names that one of them fits are taken.
        exclude: globs; names that one of them fits are not taken.
        group: the name of a group, such as "ema_0.999_*", a part of it, or a glob that fits several groups.
    """

    step_pattern: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    group: str | None = None


class Selection(NamedTuple):
    """The checkpoints that are measured, and those that are not.

    Args:
        checkpoints: ascending by step.
        rule: what the steps are.
        groups: the groups of files, the largest first.
        remarks: what was left out or inferred, and why.
    """

    checkpoints: list[Checkpoint]
    rule: str
    groups: list[GroupOfFiles]
    remarks: list[Remark]


@named_arguments
def find(
    where: AnyPath | Sequence[AnyPath],
    *,
    step_pattern: str | None = None,
    include: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    group: str | None = None,
) -> list[Checkpoint]:
    """Return the checkpoints of a folder or of a list, ordered by the steps in their names.

    Found are files `.pt`, `.pth`, `.ckpt`, `.bin` and `.safetensors` (shards count as one), and folders of Hugging Face
    (`checkpoint-500`) or orbax. If a folder has none, such as Lightning's, the one folder below it that has some is
    used. The step is the number beside "step", else "iter", "epoch", "checkpoint", else the last number that differs
    between all names; `1.5k`, `2M`, `1e3` and `10_000` are numbers, seeds, metrics, dates and hashes are no steps.
    Names that differ in more than that are groups: of a model and averages of it (`ema_...`) the model is taken, other
    groups are refused. Without any number the files are counted 0, 1, 2 in natural order. What is left out is a LeftOut
    warning, and steps that are not just read from the names a StepsInferred warning.

    >>> [checkpoint.step for checkpoint in find("checkpoints")]
    [0, 500, 1000]
    >>> [checkpoint.step for checkpoint in find("checkpoints", step_pattern=r"step_00(\\d+)", exclude="*1000*")]
    [0, 500]

    Args:
        where: a folder, or a list of files and folders.
        step_pattern: a regular expression whose one group is the step in a name.
        include: globs such as "model_*"; only names that one of them fits are taken.
        exclude: globs; names that one of them fits are not taken.
        group: the name of a group, such as "ema_0.999_*", a part of it, or a glob that fits several groups.

    Raises NoCheckpoints, SeveralGroups, UnknownName for a group, and ValueError for a wrong pattern.
    """
    selected = select(where, step_pattern=step_pattern, include=include, exclude=exclude, group=group)
    issue_warnings(selected.remarks, stacklevel=4)
    return selected.checkpoints


def select(
    where: AnyPath | Sequence[AnyPath],
    *,
    step_pattern: str | None = None,
    include: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    group: str | None = None,
) -> Selection:
    """Return what `find` returns, with the groups and with the remarks that `find` warns about.

    >>> select("checkpoints").groups
    [GroupOfFiles(name='step_*', files=3, first=0, last=1000, measured=True)]

    Args:
        where: a folder, or a list of files and folders.
        step_pattern: a regular expression whose one group is the step in a name.
        include: globs such as "model_*"; only names that one of them fits are taken.
        exclude: globs; names that one of them fits are not taken.
        group: the name of a group, such as "ema_0.999_*", a part of it, or a glob that fits several groups.

    Raises NoCheckpoints, SeveralGroups, UnknownName for a group, and ValueError for a wrong pattern.
    """
    pattern = _compiled(step_pattern)
    paths = sorted(_paths(where, _globs(include), _globs(exclude)), key=by_name)
    groups, without = grouped([path.name for path in paths], pattern)
    if pattern is None and len(paths) == 1 and is_part_of_a_models_name(paths[0].name):
        groups = []
    place = str(where) if isinstance(where, str | os.PathLike) else "the list"
    if not groups:
        if pattern is not None:
            names = some([path.name for path in paths], 5)
            raise NoCheckpoints(f"step_pattern={step_pattern!r} finds no number in the names in {place}: {names}")
        return _without_steps(paths, place, group)
    measured = chosen(groups, group, place)
    why = "no step number in the name; rename it to evaluate it" if pattern is None else "step_pattern finds no number"
    called = labels(paths)
    remarks = [Remark("LeftOut", why, called[paths[i]]) for i in without]
    if group is None:
        remarks += left_out(groups, measured[0], [called[path] for path in paths])
    kept, rule, more = _in_order(measured, paths)
    listed = [
        GroupOfFiles(one.name, len(one.members), min(one.steps), max(one.steps), one in measured) for one in groups
    ]
    return Selection(kept, rule, listed, remarks + more)


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    way = r"give a regular expression with one group around the step, such as 'step_(\d+)'"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"step_pattern={pattern!r} is no regular expression ({error}); {way}") from error
    if compiled.groups != 1:
        raise ValueError(f"step_pattern={pattern!r} has {compiled.groups or 'no'} groups; {way}")
    return compiled


def _globs(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _paths(where: AnyPath | Sequence[AnyPath], include: tuple[str, ...], exclude: tuple[str, ...]) -> list[Path]:
    """Return the checkpoints in a place whose names are wanted."""

    def wanted(path: Path) -> bool:
        named = [glob for glob in (*include, *exclude) if fnmatchcase(path.name, glob)]
        return (not include or any(glob in named for glob in include)) and not any(glob in named for glob in exclude)

    if isinstance(where, str | os.PathLike):
        folder = Path(where)
        if not folder.exists():
            raise NoCheckpoints(f"{folder} does not exist; give the folder that your checkpoints are in")
        if folder.is_file():
            return [folder]
        try:
            return in_folder(folder, wanted)
        except NoCheckpoints:
            if include or exclude:
                raise _none_wanted(in_folder(folder), include, exclude) from None
            raise
    given = list(where) if isinstance(where, Iterable) else [where]
    if wrong := [type(path).__name__ for path in given if not isinstance(path, str | os.PathLike)]:
        raise TypeError(f"checkpoints are a folder, or a list of files and folders, not {wrong[0]}")
    paths = [Path(path) for path in given]
    # a dangling link is said when it is measured
    if wrong := [str(path) for path in paths if not (path.is_file() or path.is_symlink() or _is_folder_of_one(path))]:
        raise NoCheckpoints(
            f"these are no checkpoints: {some(wrong)}; give files ({', '.join(ENDINGS)}), or folders of "
            "Hugging Face or orbax"
        )
    if not paths:
        raise NoCheckpoints("the list of checkpoints is empty; give a folder or at least one file")
    kept = [path for path in paths if wanted(path)]
    if not kept:
        raise _none_wanted(paths, include, exclude)
    return kept


def _is_folder_of_one(path: Path) -> bool:
    return path.is_dir() and is_checkpoint(path)


def _none_wanted(paths: Sequence[Path], include: tuple[str, ...], exclude: tuple[str, ...]) -> NoCheckpoints:
    given = [f"{name}={some(globs)}" for name, globs in (("include", include), ("exclude", exclude)) if globs]
    names = some([path.name for path in paths], 5)
    return NoCheckpoints(f"{' and '.join(given)} leave none of {len(paths)} checkpoints: {names}")


def _in_order(groups: Sequence[Group], paths: Sequence[Path]) -> tuple[list[Checkpoint], str, list[Remark]]:
    """Return the checkpoints of some groups by their steps, one for each step."""
    remarks: list[Remark] = []
    pairs = [(step, paths[i]) for one in groups for step, i in zip(one.steps, one.members, strict=True)]
    rules = list(dict.fromkeys(one.rule for one in groups))
    inferred = any(one.inferred for one in groups)
    if any(one.ordinal for one in groups) and (found := recorded_steps([path for _, path in pairs])):
        rules = [f"what the files record as {found[0]}"]
        pairs = list(zip(found[1], [path for _, path in pairs], strict=True))
    if inferred:
        remarks.append(Remark("StepsInferred", f"the steps are {'; '.join(rules)}{_WAY}", _about(pairs)))
    called = labels(paths)
    kept: dict[int | float, Path] = {}
    # of equal steps the one that was saved again later counts, and one called best or last only if it is alone
    for step, path in sorted(pairs, key=lambda pair: (not is_marked(pair[1].name, "tag"), by_name(pair[1]))):
        if step in kept:
            later = "" if is_marked(kept[step].name, "tag") else " and came later"
            remarks.append(Remark("LeftOut", f"{called[path]} is of step {step} too{later}", called[kept[step]]))
        kept[step] = path
    return [Checkpoint(step, kept[step]) for step in sorted(kept)], "; ".join(rules), remarks


_WAY = "; step_pattern= (--step-pattern) reads other ones"


def _about(pairs: Iterable[tuple[object, Path]]) -> str:
    return some([path.name for _, path in pairs], 2)


def _without_steps(paths: Sequence[Path], place: str, group: str | None) -> Selection:
    """Return checkpoints whose names hold no steps: counted, unless all files record different steps."""
    remarks: list[Remark] = []
    if group is not None:
        names = [stem_of(path.name) for path in paths]
        paths = [path for path, name in zip(paths, names, strict=True) if group in name or fnmatchcase(name, group)]
        if not paths:
            raise UnknownName(unknown("group", group, names, place))
    elif models := [path for path in paths if not is_average(path.stem)]:
        text = "averages of the model; measured are the others, and group= (--group) with a name measures these"
        remarks += [Remark("LeftOut", text, path.name) for path in paths if path not in models]
        paths = models
    names = some([path.name for path in paths], 5)
    if len(paths) > 1 and any(is_marked(path.name, "part") for path in paths):
        raise SeveralGroups(
            f"the names in {place} tell parts of one model and hold no steps: {names}; join the parts into one file, "
            "or give step_pattern= (--step-pattern)"
        )
    if len(paths) > 1 and any(is_marked(path.name, "setting") for path in paths):
        raise SeveralGroups(
            f"the names in {place} tell runs apart and hold no steps: {names}; measure them one by one, or give "
            "step_pattern= (--step-pattern)"
        )
    steps: list[int | float] = [*range(len(paths))]
    rule, inferred = _COUNTED, len(paths) > 1
    if found := recorded_steps(paths):
        rule, steps, inferred = f"what the files record as {found[0]}", found[1], True
    if inferred:
        remarks.append(Remark("StepsInferred", f"the steps are {rule}{_WAY}", _about([(0, p) for p in paths])))
    kept = [Checkpoint(step, path) for step, path in sorted(zip(steps, paths, strict=True))]
    listed = [GroupOfFiles("*", len(paths), kept[0].step, kept[-1].step, True)]
    return Selection(kept, rule, listed, remarks)

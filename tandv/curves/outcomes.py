"""Which curves tell how well a network does, its outcomes, rather than what happens inside of it, and on which data.

>>> [name for name in ("test_acc", "weight_norm", "loss_scale") if is_outcome(name)]
['test_acc']
"""

import re
from collections.abc import Iterable
from typing import Literal

Data = Literal["seen", "unseen", ""]

# Words of a name, in lower case and without digits, that make it an outcome: of those that fall and of those that rise.
_FALLS = {
    "loss", "losses", "nll", "ce", "xent", "crossentropy", "perplexity", "ppl", "error", "err", "mse", "mae", "rmse",
    "bpb", "bpc", "bpd", "wer", "cer", "fid",
}  # fmt: skip
_RISES = {
    "acc", "accuracy", "top", "f", "auc", "auroc", "map", "iou", "miou", "dice", "bleu", "rouge", "reward", "rewards",
    "return", "returns", "precision", "recall", "psnr", "ssim", "solved", "success",
}  # fmt: skip
_SINGLE = {"f": "f1", "top": "top1 top5"}  # words that mean nothing without their digit
_NOT = {"scale", "scaler", "grad", "gradient", "norm", "weight", "weights", "lr", "rate"}  # as in "loss_scale"
_PERCENT = 1.5  # shares that were smoothed, averaged or given noise may exceed 1 a little
_SEEN = {"train", "training", "batch", "seen"}
_UNSEEN = {"test", "testing", "val", "valid", "validation", "eval", "evaluation", "dev", "heldout", "unseen"}


def is_outcome(name: str) -> bool:
    """Tell whether a curve is a loss, an accuracy or another measure of how well a network does, by its name.

    >>> is_outcome("val/top5_acc"), is_outcome("eval_perplexity"), is_outcome("error rate"), is_outcome("grad_norm")
    (True, True, True, False)

    Args:
        name: the name of a curve.
    """
    return bool(way_of(name))


def way_of(name: str) -> Literal["falls", "rises", ""]:
    """Return which way an outcome goes as a network gets better; "" for a curve that is no outcome, by its name.

    >>> way_of("test_acc"), way_of("val_loss"), way_of("effective_rank/fc")
    ('rises', 'falls', '')

    Args:
        name: the name of a curve.
    """
    words = _words(name)
    plain = {re.sub(r"\d+$", "", word): word for word in words}
    found = plain.keys() & (_FALLS | _RISES)
    found = {word for word in found if word not in _SINGLE or plain[word] in _SINGLE[word].split()}
    if name in ("train", "val", "test"):  # the losses of TrainingStats
        return "falls"
    if not found or (plain.keys() & _NOT - ({"rate"} if found & {"error", "success"} else set())):
        return ""
    return "falls" if found & _FALLS else "rises"


def data_of(name: str) -> Data:
    """Return which data an outcome was measured on: "seen" in training, "unseen", or "" where its name does not say.

    >>> data_of("train_acc"), data_of("eval/loss"), data_of("loss")
    ('seen', 'unseen', '')

    Args:
        name: the name of a curve.
    """
    words = set(_words(name))
    return "unseen" if words & _UNSEEN else "seen" if words & _SEEN else ""


def is_accuracy(name: str) -> bool:
    """Tell whether a curve is an accuracy, by its name.

    >>> is_accuracy("test_acc"), is_accuracy("accumulated_loss"), is_accuracy("acceleration")
    (True, False, False)

    Args:
        name: the name of a curve.
    """
    return any("accurac" in word or re.search(r"acc\d*$", word) for word in _words(name))


def in_percent(highest: float) -> bool:
    """Tell whether accuracies are in percent, from 0 to 100, by the highest of them; else they are shares.

    Shares that were smoothed, averaged or given noise may exceed 1 a little, and are no percent.

    >>> in_percent(1.02), in_percent(97.5)
    (False, True)

    Args:
        highest: the largest value.
    """
    return highest > _PERCENT


def is_split(word: str) -> bool:
    """Tell whether a word names a part of the data, such as "val", as in "loss/val" and "val/loss".

    >>> is_split("val"), is_split("layers.0")
    (True, False)

    Args:
        word: a part of the name of a curve.
    """
    return word.lower() in _SEEN | _UNSEEN


def accuracies_of(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the accuracies on seen and on unseen data that belong together; None if there is no such pair.

    >>> accuracies_of(["loss", "train/accuracy", "val/accuracy"])
    ('train/accuracy', 'val/accuracy')

    Args:
        names: the names of curves.
    """
    known = [name for name in names if {"acc", "accuracy"} & set(_words(name))]
    unseen = sorted((one for one in known if data_of(one) == "unseen"), key=lambda one: "test" not in _words(one))
    for seen in known:
        if data_of(seen) != "seen":
            continue
        rest = _without_split(seen)
        for other in unseen:
            if _without_split(other) == rest:
                return seen, other
    return None


def _words(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)  # valLoss
    return [word for word in re.split(r"[^a-z0-9]+", apart.lower()) if word]


def _without_split(name: str) -> list[str]:
    return sorted(word for word in _words(name) if not is_split(word))

"""Curves of single layers are kept apart from those of the whole run."""

import pandas as pd

from tandv.curves.of_layers import families, largest_family, of_heads, of_whole_run

NAMES = [
    *(
        "train/loss",
        "train/acc",
        "val/loss",
        "val/acc",
        "train/grad_norm",
        "train/lr",
        "rank:fc1",
        "rank:fc2",
        "alone:x",
    ),
    *("layers.0/head0/entropy", "layers.0/head1/entropy", "layers.0/specialization_index", "layers.0/induction_chance"),
]
TABLE = pd.DataFrame({name: [1.0] for name in NAMES})


def test_parts_of_the_data_are_no_layers():
    assert of_whole_run(TABLE).columns.tolist() == NAMES[:6]
    assert families(TABLE) == {"rank:": ["rank:fc1", "rank:fc2"]}


def test_curves_of_heads_are_those_of_attention():
    assert of_heads(TABLE).columns.tolist() == NAMES[9:]


def test_the_layers_of_the_quantity_that_most_have():
    quantity, table = largest_family(TABLE)
    assert (quantity, None if table is None else list(table)) == ("rank", ["fc1", "fc2"])
    assert largest_family(TABLE[["val/loss"]]) == ("", None)


def test_curves_of_layers_alone_are_all_there_is():
    alone = TABLE[["rank:fc1", "rank:fc2"]]
    assert of_whole_run(alone).columns.tolist() == ["rank:fc1", "rank:fc2"]

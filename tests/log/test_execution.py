"""The order of execution, guessed from the order of the model."""

from tandv.log.execution import forward


def test_what_is_inside_of_a_module_comes_before_it_and_the_model_last():
    layers = ["Net", "stem", "blocks.0", "blocks.0.up", "blocks.0.down", "blocks.1", "blocks.1.up", "head"]
    assert forward(layers, "Net") == [
        "stem", "blocks.0.up", "blocks.0.down", "blocks.0", "blocks.1.up", "blocks.1", "head", "Net",
    ]  # fmt: skip


def test_a_name_that_only_begins_alike_is_not_inside():
    assert forward(["fc", "fc1", "fc.0"]) == ["fc1", "fc.0", "fc"]

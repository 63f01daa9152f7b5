"""When the tensors of a step come into being, as far as the order of the model tells."""

from tandv.analysis.findings.order import places


def test_gradients_come_in_reverse_and_those_of_weights_after_that_of_their_output():
    kinds = ["Activation", "Gradient", "Weight", "Weight_Gradient", "Weight_Update", "Optimiser_State.nu"]
    tensors = [(kind, name) for kind in kinds for name in ("a", "b")] + [("Activation", "Net"), ("Input", "x")]
    at = places([("Activation", "Net"), *tensors], {("Activation", "Net"): "Net"})
    assert sorted(at, key=at.__getitem__) == [
        ("Weight", "a"), ("Weight", "b"), ("Input", "x"),
        ("Activation", "a"), ("Activation", "b"), ("Activation", "Net"),
        ("Gradient", "b"), ("Weight_Gradient", "b"), ("Gradient", "a"), ("Weight_Gradient", "a"),
        ("Optimiser_State.nu", "a"), ("Optimiser_State.nu", "b"), ("Weight_Update", "a"), ("Weight_Update", "b"),
    ]  # fmt: skip


def test_a_known_order_is_kept_within_the_phases_of_a_step():
    tensors = [(kind, name) for kind in ("Activation", "Gradient") for name in ("first", "second")]
    known = [("Activation", "second"), ("Activation", "first"), ("Gradient", "first"), ("Gradient", "second")]
    at = places(tensors, {}, known)
    assert sorted(at, key=at.__getitem__) == known

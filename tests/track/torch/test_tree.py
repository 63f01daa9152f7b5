import pytest
import torch
from torch import nn

from tandv.track.torch._tree import Tree


def names(tree):
    return [named.name for named in tree.parameters.values()]


@pytest.fixture
def model():
    return nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.Linear(1, 1), nn.ReLU()))


def replace(model):
    model[1] = nn.Linear(1, 1)


def append(model):
    model.append(nn.Linear(1, 1))


def remove(model):
    del model[1][1]


def assign(model):
    model.load_state_dict(nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.Linear(1, 1))).state_dict(), assign=True)


def wrap(model):
    wrapper = nn.Module()
    wrapper.base = model[0]
    wrapper.low = nn.Linear(1, 1)
    model[0] = wrapper


def rename(model):
    layer = model[0]
    layer.register_parameter("weight_orig", layer._parameters.pop("weight"))


def rename_in_place(model):
    layer = model[1][0]  # its last entry gets another name, so that every value stays where it was
    layer.register_parameter("shift", layer._parameters.pop("bias"))


@pytest.mark.parametrize(
    "change, events",
    [
        (replace, ["module '1' was replaced"]),
        (append, ["module '2' was added"]),
        (remove, ["module '1.1' was removed"]),
        (assign, ["4 parameters were replaced: '0', '0.bias', '1.0' and 1 more"]),
        (wrap, ["module '0' was replaced", "module '0' is now '0.base'"]),
        (rename, ["parameter '0' is now '0.weight_orig'"]),
        (rename_in_place, ["parameter '1.0.bias' is now '1.0.shift'"]),
    ],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_changes_are_seen_once_and_said_in_words(model, change, events):
    tree = Tree(model)
    assert not tree.look()
    change(model)
    assert (tree.look(), tree.look()) == (True, False)
    assert (tree.events(), tree.events()) == (events, [])
    assert set(tree.parameters) == set(model.parameters())
    assert all(tree.find(module) is not None for module in model.modules())


def test_a_change_that_is_taken_back_is_none(model):
    tree, first = Tree(model), model[0]
    model[0] = nn.Linear(1, 1)
    assert tree.look()
    model[0] = first
    assert tree.look()
    assert tree.events() == []


def test_a_module_that_has_gone_is_known_no_longer_and_its_address_is_not_given_away(model):
    tree, old = Tree(model), id(model[1])
    model[1] = nn.GELU()
    assert all(id(nn.MSELoss()) != old for _ in range(1000))
    tree.look(), tree.events()
    kept = [nn.MSELoss() for _ in range(1000)]
    assert [tree.find(one) for one in kept] == [None] * 1000


def test_numbers_of_modules_are_never_used_again(model):
    tree = Tree(model)
    first = tree.number(id(model[0]))
    assert tree.numbered(first).name == "0"
    model[0] = nn.Linear(1, 1)
    tree.look()
    second = tree.number(id(model[0]))
    assert (tree.numbered(first), tree.numbered(second).name) == (None, "0")
    assert tree.number(id(nn.ReLU())) == -1


def test_what_is_selected_applies_to_new_names(model):
    tree = Tree(model, lambda name: name.startswith("2"))
    assert names(tree) == []
    model.append(nn.Linear(1, 1))
    tree.look()
    assert names(tree) == ["2", "2.bias"]


@pytest.mark.parametrize("kind", [torch.clone, nn.Parameter], ids=["tensors", "parameters"])
def test_a_functional_call_is_no_change(model, kind):
    tree, looks = Tree(model), []
    model[0].register_forward_hook(lambda *_: looks.append(tree.look()))
    other = {name: kind(p.detach() + 1) for name, p in model.named_parameters()}
    torch.func.functional_call(model, other, torch.ones(1, 1))
    assert (looks, tree.look(), tree.events()) == ([False], False, [])


def test_lazy_parameters_are_found_when_they_have_a_shape(model):
    tree = Tree(model)
    model.append(nn.LazyLinear(1))
    tree.look()
    assert "2" not in names(tree)
    model(torch.ones(1, 1))
    assert tree.look()
    assert "2" in names(tree)


def test_wrappers_within_are_looked_into(model):
    wrapped = nn.Sequential(torch.compile(nn.Linear(1, 1), backend="eager"))
    tree = Tree(wrapped)
    wrapped[0]._orig_mod = nn.Linear(1, 1)
    assert tree.look()
    assert set(tree.parameters) == set(wrapped.parameters())

"""Attention of Hugging Face models, eager and fused: what they say themselves with `output_attentions`."""

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from tandv.probes import attention_patterns, get_intermediate_outputs

pytestmark = pytest.mark.slow

IDS = torch.randint(50, (2, 7), generator=torch.Generator().manual_seed(0))
SPECIAL = {"bos_token_id": 0, "eos_token_id": 1}


def gpt2(kind):
    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "n_positions": 16, "n_embd": 16, "n_layer": 2, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(**sizes, **SPECIAL, attn_implementation=kind))


def llama(kind):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=50, **sizes, **heads, **SPECIAL, attn_implementation=kind))


@pytest.mark.parametrize("kind", ["eager", "sdpa"])
@pytest.mark.parametrize(
    ("make", "names"),
    [
        (gpt2, ["transformer.h.0.attn", "transformer.h.1.attn"]),
        (llama, ["model.layers.0.self_attn", "model.layers.1.self_attn"]),
    ],
)
def test_patterns_are_what_the_model_itself_says(make, names, kind):
    found = attention_patterns(make(kind), IDS)
    assert list(found) == names
    said = make("eager").eval()(IDS, output_attentions=True).attentions
    for name, expected in zip(names, said, strict=True):
        np.testing.assert_allclose(found[name], expected.detach(), atol=1e-6)
        np.testing.assert_allclose(found[name].sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize("kind", ["eager", "sdpa"])
def test_padding_is_not_looked_at(kind):
    mask = torch.ones(2, 7, dtype=torch.long)
    mask[1, 5:] = 0
    found = attention_patterns(llama(kind), {"input_ids": IDS, "attention_mask": mask})["model.layers.1.self_attn"]
    assert (found[1, :, :, 5:] == 0).all() and (found[0, :, -1] > 0).all()


def test_layers_bear_the_names_of_the_model():
    found = get_intermediate_outputs(gpt2("sdpa"), {"input_ids": IDS}, ["transformer.h.0.mlp", "lm_head"])
    assert {name: array.shape for name, array in found.items()} == {
        "transformer.h.0.mlp": (2, 7, 16),
        "lm_head": (2, 7, 50),
    }

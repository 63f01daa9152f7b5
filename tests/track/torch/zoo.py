"""Small random models of real architectures, each with a batch: `ZOO[name]()` returns (model, arguments)."""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

diffusers: Any = importlib.import_module("diffusers")  # whose names appear when they are asked for
transformers: Any = importlib.import_module("transformers")

Made = tuple[nn.Module, dict[str, Any]]

_TEXT = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_SEEING = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 16,
    "patch_size": 8,
}
_EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}


def _built(model: str, config: str, **settings: Any) -> nn.Module:
    """Make a model of transformers with random weights, without dropout that nobody asked for."""
    known = getattr(transformers, config)(**settings)
    known.use_cache = False
    return getattr(transformers, model)(known)


def _tokens() -> torch.Tensor:
    return torch.randint(3, 64, (2, 8))


def _images(size: int = 16) -> torch.Tensor:
    return torch.randn(2, 3, size, size)


def _decoder(family: str, *, model: str = "{}ForCausalLM", without: str = "", **settings: Any) -> Made:
    settings = {name: value for name, value in (_TEXT | settings).items() if name != without}
    return _built(model.format(family), f"{family}Config", **settings), {"input_ids": _tokens()}


def _encoder(family: str, *, model: str = "{}Model", **settings: Any) -> Made:
    return _decoder(family, model=model, **settings)


def _pair(family: str, **settings: Any) -> Made:
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "decoder_start_token_id": 1}
    model = _built(f"{family}ForConditionalGeneration", f"{family}Config", **_TEXT | sizes | heads | settings)
    return model, {"input_ids": _tokens(), "decoder_input_ids": _tokens()}


def _vision(family: str, *, model: str = "{}Model", size: int = 16, **settings: Any) -> Made:
    return _built(model.format(family), f"{family}Config", **_SEEING | settings), {"pixel_values": _images(size)}


def _swin() -> Made:
    sizes = {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 2, "patch_size": 2}
    return _built("SwinModel", "SwinConfig", image_size=16, **sizes), {"pixel_values": _images()}


def _segformer() -> Made:
    stages = {"num_encoder_blocks": 2, "hidden_sizes": [8, 16], "depths": [1, 1], "num_attention_heads": [1, 2]}
    patches = {"sr_ratios": [2, 1], "patch_sizes": [3, 3], "strides": [2, 2], "mlp_ratios": [2, 2]}
    return _built("SegformerModel", "SegformerConfig", **stages, **patches), {"pixel_values": _images()}


def _audio(family: str, **settings: Any) -> Made:
    convolutions = {"conv_dim": (8, 8), "conv_kernel": (5, 3), "conv_stride": (4, 2), "num_feat_extract_layers": 2}
    positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "mask_time_prob": 0.0}
    model = _built(f"{family}Model", f"{family}Config", **_TEXT | convolutions | positions | settings)
    return model, {"input_values": torch.randn(2, 400)}


def _whisper() -> Made:
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    places = {"num_mel_bins": 8, "max_source_positions": 16, "max_target_positions": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "decoder_start_token_id": 1}
    model = _built("WhisperForConditionalGeneration", "WhisperConfig", **_TEXT | sizes | places | heads)
    return model, {"input_features": torch.randn(2, 8, 32), "decoder_input_ids": _tokens()}


def _two_towers(family: str) -> Made:
    text = {name: value for name, value in _TEXT.items() if name != "head_dim"}
    model = _built(f"{family}Model", f"{family}Config", text_config=text, vision_config=_SEEING, projection_dim=8)
    return model, {"input_ids": _tokens(), "pixel_values": _images()}


def _llava() -> Made:
    text = transformers.LlamaConfig(**_TEXT)
    seeing = transformers.CLIPVisionConfig(**_SEEING)
    known = transformers.LlavaConfig(text_config=text, vision_config=seeing, image_token_id=63)
    known.text_config.use_cache = False
    tokens = torch.cat([torch.full((2, 4), 63), torch.randint(3, 60, (2, 4))], 1)
    return transformers.LlavaForConditionalGeneration(known), {"input_ids": tokens, "pixel_values": _images()}


def _series() -> Made:
    sizes = {"d_model": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "ffn_dim": 32}
    model = _built("PatchTSTForPrediction", "PatchTSTConfig", num_input_channels=2, context_length=16,
                   patch_length=4, patch_stride=4, prediction_length=4, **sizes)  # fmt: skip
    return model, {"past_values": torch.randn(2, 16, 2)}


_BLOCKS = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}


def _unet() -> Made:
    blocks = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
    model = diffusers.UNet2DModel(sample_size=8, attention_head_dim=4, **blocks, **_BLOCKS)
    return model, {"sample": _images(8), "timestep": torch.tensor([3, 5])}


def _conditioned() -> Made:
    blocks = {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }
    model = diffusers.UNet2DConditionModel(
        sample_size=8, in_channels=3, out_channels=3, attention_head_dim=2, cross_attention_dim=8, **blocks, **_BLOCKS
    )
    words = torch.randn(2, 4, 8)
    return model, {"sample": _images(8), "timestep": torch.tensor([3, 5]), "encoder_hidden_states": words}


def _autoencoder() -> Made:
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    return diffusers.AutoencoderKL(**blocks, **_BLOCKS), {"sample": _images(16)}


def _dit() -> Made:
    model = diffusers.DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=3, out_channels=3, num_layers=2, sample_size=8,
        norm_num_groups=1, num_embeds_ada_norm=10,
    )  # fmt: skip
    return model, {"hidden_states": _images(8), "timestep": torch.tensor([1, 2]), "class_labels": torch.tensor([0, 1])}


def _sd3() -> Made:
    model = diffusers.SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=3, out_channels=3, num_layers=2, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=8, caption_projection_dim=16, pooled_projection_dim=8,
        pos_embed_max_size=8,
    )  # fmt: skip
    words = {"encoder_hidden_states": torch.randn(2, 4, 8), "pooled_projections": torch.randn(2, 8)}
    return model, {"hidden_states": _images(8), "timestep": torch.tensor([3, 5]), **words}


def _flux() -> Made:
    model = diffusers.FluxTransformer2DModel(
        in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=8, pooled_projection_dim=8, axes_dims_rope=(2, 2, 4),
    )  # fmt: skip
    places = {"img_ids": torch.zeros(6, 3), "txt_ids": torch.zeros(4, 3), "guidance": None}
    words = {"encoder_hidden_states": torch.randn(2, 4, 8), "pooled_projections": torch.randn(2, 8)}
    return model, {"hidden_states": torch.randn(2, 6, 4), "timestep": torch.tensor([0.3, 0.5]), **places, **words}


_STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1]}

ZOO: dict[str, Callable[[], Made]] = {
    # Decoders.
    "gpt2": partial(_decoder, "GPT2", model="{}LMHeadModel", n_embd=16, n_layer=2, n_head=2),
    "llama": partial(_decoder, "Llama"),
    "mistral": partial(_decoder, "Mistral"),
    "qwen2": partial(_decoder, "Qwen2"),
    "qwen3": partial(_decoder, "Qwen3"),
    "gemma": partial(_decoder, "Gemma"),
    "gemma2": partial(_decoder, "Gemma2"),
    "phi": partial(_decoder, "Phi"),
    "phi3": partial(_decoder, "Phi3"),
    "gpt_neox": partial(_decoder, "GPTNeoX"),
    "opt": partial(_decoder, "OPT", ffn_dim=32, word_embed_proj_dim=16),
    "bloom": partial(_decoder, "Bloom", n_layer=2, n_head=2),
    "falcon": partial(_decoder, "Falcon", without="head_dim"),
    "olmo2": partial(_decoder, "Olmo2"),
    "cohere": partial(_decoder, "Cohere"),
    "gptj": partial(_decoder, "GPTJ", n_embd=16, n_layer=2, n_head=2, rotary_dim=4),
    "stablelm": partial(_decoder, "StableLm"),
    # Mixtures of experts.
    "mixtral": partial(_decoder, "Mixtral", **_EXPERTS),
    "qwen2_moe": partial(_decoder, "Qwen2Moe", shared_expert_intermediate_size=16, **_EXPERTS),
    "olmoe": partial(_decoder, "Olmoe", **_EXPERTS),
    # State spaces.
    "mamba": partial(_decoder, "Mamba", state_size=4),
    "mamba2": partial(_decoder, "Mamba2", state_size=4, num_heads=4, n_groups=1, expand=2, chunk_size=4),
    "falcon_mamba": partial(_decoder, "FalconMamba", state_size=4),
    "recurrent_gemma": partial(_decoder, "RecurrentGemma", lru_width=16, attention_window_size=4),
    # Encoders.
    "bert": partial(_encoder, "Bert"),
    "roberta": partial(_encoder, "Roberta", max_position_embeddings=40),
    "distilbert": partial(_encoder, "DistilBert", dim=16, hidden_dim=32, n_layers=2, n_heads=2),
    "albert": partial(_encoder, "Albert", embedding_size=8),
    "electra": partial(_encoder, "Electra", embedding_size=8),
    "deberta_v2": partial(_encoder, "DebertaV2"),
    "modernbert": partial(_encoder, "ModernBert"),
    "mpnet": partial(_encoder, "MPNet"),
    # Encoders with decoders.
    "t5": partial(_pair, "T5", d_kv=8, d_ff=32, num_layers=1, num_heads=2),
    "bart": partial(_pair, "Bart"),
    "pegasus": partial(_pair, "Pegasus"),
    "mbart": partial(_pair, "MBart"),
    # Vision.
    "vit": partial(_vision, "ViT"),
    "deit": partial(_vision, "DeiT"),
    "beit": partial(_vision, "Beit"),
    "dinov2": partial(_vision, "Dinov2"),
    "swin": _swin,
    "convnext": partial(_vision, "ConvNext", hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 1, 1], size=32),
    "resnet": partial(_vision, "ResNet", embedding_size=8, layer_type="basic", **_STAGES, size=32),
    "efficientnet": partial(
        _vision, "EfficientNet", width_coefficient=0.1, depth_coefficient=0.1, hidden_dim=128, size=32
    ),
    "mobilenet_v2": partial(_vision, "MobileNetV2", depth_multiplier=0.25, size=32),
    "segformer": _segformer,
    # Audio, and series of numbers.
    "wav2vec2": partial(_audio, "Wav2Vec2"),
    "hubert": partial(_audio, "Hubert"),
    "whisper": _whisper,
    "patchtst": _series,
    # Several modes.
    "clip": partial(_two_towers, "CLIP"),
    "siglip": partial(_two_towers, "Siglip"),
    "llava": _llava,
    # Diffusion.
    "unet": _unet,
    "conditioned_unet": _conditioned,
    "autoencoder": _autoencoder,
    "dit": _dit,
    "sd3": _sd3,
    "flux": _flux,
}

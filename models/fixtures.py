#!/usr/bin/env python3
"""Writes tiny models of every family with random weights that anyone can make again, bit for bit.

    python3 models/fixtures.py OUTDIR

    tiny-eps, tiny-v         SD 1.x, the same weights: eps (a PNDM config as in SD 1.5) and v (DDIM, trailing)
    tiny-inpaint             SD 1.x with nine channels     tiny-lcm      SD 1.x that is told its guidance
    tiny-sd2                 SD 2.x: v, zero terminal SNR  tiny-xl, tiny-refiner
    tiny-control, tiny-control-xl, tiny-taesd              what goes with tiny-eps and tiny-xl
    single/NAME.safetensors  the same weights in one file under the original names (fixture_single.py)
    lora/, embedding/        adapters in every dialect (fixture_adapters.py)

Needs Python alone. Every element of every tensor follows from this hash, all in unsigned 64 bits:

    fnv(name):  h = 0xcbf29ce484222325; for each byte b: h = (h ^ b) * 0x100000001b3          (FNV-1a)
    mix(x):     x += 0x9e3779b97f4a7c15; x = (x ^ x>>30) * 0xbf58476d1ce4e5b9;
                x = (x ^ x>>27) * 0x94d049bb133111eb; return x ^ x>>31                        (splitmix64)
    u(name, i): (mix(fnv(name) + i) >> 40) / 2^23 - 1, a multiple of 2^-23 in [-1, 1)

where name is component/tensor, such as "unet/conv_in.weight", and i counts elements in row-major order; in all models
but tiny-eps and tiny-v the model's name and a slash stand before it. Then
    a norm's weight (one dimension)    1 + 0.1 u
    any other tensor of one dimension  0.1 u
    all others                         u / sqrt(fan_in), fan_in = product of all dimensions but the first
computed in double and rounded once to float32.
"""
import json
import math
import struct
import sys
from array import array
from pathlib import Path

from fixture_adapters import write_adapters
from fixture_nets import control_shapes, text_shapes, tiny_vae_shapes, unet_shapes, vae_shapes
from fixture_single import write_singles
from tokenizer import END, START, byte_symbols, learn_merges

MASK = (1 << 64) - 1
WORDS = "a the of and in on with at by lake mountain sun moon house boat tree snow rain night day red blue landscape".split()
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "clip_sample": False}


def fnv(name):
    """FNV-1a of the UTF-8 bytes, 64 bits."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return h


def uniform(name, count):
    """count numbers in [-1, 1) by the hash of the docstring."""
    h = fnv(name) + 0x9E3779B97F4A7C15
    for i in range(count):
        x = (h + i) & MASK
        x = ((x ^ x >> 30) * 0xBF58476D1CE4E5B9) & MASK
        x = ((x ^ x >> 27) * 0x94D049BB133111EB) & MASK
        yield ((x ^ x >> 31) >> 40) / 8388608.0 - 1.0


def tensor(name, shape):
    """The values of the tensor of a full name."""
    u = uniform(name, math.prod(shape))
    if len(shape) > 1:
        root = math.sqrt(math.prod(shape[1:]))
        return array("f", (v / root for v in u))
    if name.endswith(".weight"):
        return array("f", (1.0 + 0.1 * v for v in u))
    return array("f", (0.1 * v for v in u))


def tensors(component, shapes):
    """Name -> (shape, values) of a network."""
    return {name: (shape, tensor(f"{component}/{name}", shape)) for name, shape in shapes.items()}


def write_safetensors(path, table, metadata=None):
    """u64 length, JSON header (padded to 8 bytes), tensors in order of their names; float32."""
    header, blobs, at = {"__metadata__": metadata or {"format": "pt"}}, [], 0
    for name in sorted(table):
        shape, values = table[name]
        values = array("f", values)
        if sys.byteorder == "big":
            values.byteswap()
        blob = values.tobytes()
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_tokenizer(folder, pad=END):
    """Complete byte alphabet, the merges of a few words, two special tokens; returns the vocabulary's size."""
    symbols = byte_symbols()
    alphabet = sorted(symbols.values(), key=lambda c: (ord(c) > 255, ord(c)))
    merges = learn_merges({w: 10 for w in WORDS}, symbols)
    vocab = [*alphabet, *(c + "</w>" for c in alphabet), *("".join(m) for m in merges), START, END]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocab)}, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{x} {y}\n" for x, y in merges), encoding="utf-8")
    special = {"bos_token": START, "eos_token": END, "pad_token": pad, "unk_token": END}
    write_json(folder / "special_tokens_map.json", special)
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True,
                                                  "errors": "replace", "add_prefix_space": False, **special})
    return len(vocab)


# ---- configs, as diffusers and transformers write them ----


def unet_config(**changes):
    """SD 1.x: CrossAttnDown(32), Down(64), mid with attention, Up(64), CrossAttnUp(32); one layer a block."""
    return {"_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": 2,
            "block_out_channels": [32, 64], "center_input_sample": False, "cross_attention_dim": 32,
            "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "downsample_padding": 1, "flip_sin_to_cos": True,
            "freq_shift": 0, "in_channels": 4, "layers_per_block": 1, "mid_block_scale_factor": 1, "norm_eps": 1e-05,
            "norm_num_groups": 8, "out_channels": 4, "sample_size": 8, "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
            **changes}


def xl_config(**changes):
    """SDXL: the first level without attention, linear projections, the last level two transformer layers deep."""
    return unet_config(**{
        "block_out_channels": [32, 64, 64], "attention_head_dim": [2, 4, 4], "cross_attention_dim": 80,
        "transformer_layers_per_block": [1, 1, 2], "use_linear_projection": True, "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 88,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"], **changes})


def vae_config(**changes):
    """Four levels (factor 8), one residual block a down block and two an up block."""
    return {"_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": [16, 32, 32, 32],
            "down_block_types": ["DownEncoderBlock2D"] * 4, "in_channels": 3, "latent_channels": 4, "layers_per_block": 1,
            "norm_num_groups": 8, "out_channels": 3, "sample_size": 64, "scaling_factor": 0.5,
            "up_block_types": ["UpDecoderBlock2D"] * 4, **changes}


def text_config(vocabulary, **changes):
    return {"architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "vocab_size": vocabulary, "hidden_size": 32,
            "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 77,
            "hidden_act": "quick_gelu", "layer_norm_eps": 1e-05, "projection_dim": 32,
            "bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "pad_token_id": vocabulary - 1, **changes}


def second_text_config(vocabulary):
    return text_config(vocabulary, architectures=["CLIPTextModelWithProjection"], hidden_size=48, intermediate_size=96, num_hidden_layers=3,
                       num_attention_heads=3, hidden_act="gelu", projection_dim=40, pad_token_id=0)


PNDM = {"_class_name": "PNDMScheduler", **BETAS, "prediction_type": "epsilon", "timestep_spacing": "leading",
        "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1}
DDIM_V = {"_class_name": "DDIMScheduler", **BETAS, "prediction_type": "v_prediction", "timestep_spacing": "trailing",
          "set_alpha_to_one": True, "steps_offset": 1, "rescale_betas_zero_snr": False}
EULER = {"_class_name": "EulerDiscreteScheduler", **BETAS, "prediction_type": "epsilon", "timestep_spacing": "leading", "steps_offset": 1,
         "interpolation_type": "linear", "use_karras_sigmas": False}
LCM = {"_class_name": "LCMScheduler", **BETAS, "prediction_type": "epsilon", "timestep_spacing": "leading", "set_alpha_to_one": True,
       "steps_offset": 0, "original_inference_steps": 50, "timestep_scaling": 10.0, "thresholding": False, "rescale_betas_zero_snr": False}


def index_config(pipeline, scheduler, **parts):
    return {"_class_name": pipeline, "_diffusers_version": "0.35.2", "scheduler": ["diffusers", scheduler["_class_name"]],
            "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"], **parts}


SD1_PARTS = {"feature_extractor": [None, None], "requires_safety_checker": False, "safety_checker": [None, None],
             "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}
XL_PARTS = {"feature_extractor": [None, None], "image_encoder": [None, None], "text_encoder": ["transformers", "CLIPTextModel"],
            "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"], "tokenizer": ["transformers", "CLIPTokenizer"],
            "tokenizer_2": ["transformers", "CLIPTokenizer"], "force_zeros_for_empty_prompt": True}
REFINER_PARTS = {**XL_PARTS, "text_encoder": [None, None], "tokenizer": [None, None], "force_zeros_for_empty_prompt": False,
                 "requires_aesthetics_score": True}


def sd1(pipeline="StableDiffusionPipeline", scheduler=PNDM, **unet):
    return {"index": index_config(pipeline, scheduler, **SD1_PARTS), "scheduler": scheduler, "unet": unet_config(**unet),
            "vae": vae_config(), "text_encoder": text_config}


def xl(parts, unet, pipeline="StableDiffusionXLPipeline"):
    encoders = {"text_encoder_2": second_text_config}
    if parts["text_encoder"][0]:
        encoders["text_encoder"] = text_config
    return {"index": index_config(pipeline, EULER, **parts), "scheduler": EULER, "unet": unet,
            "vae": vae_config(scaling_factor=0.13025, force_upcast=True), **encoders}


def sd2_text_config(vocabulary):
    return text_config(vocabulary, hidden_size=48, intermediate_size=96, num_hidden_layers=3, num_attention_heads=3, hidden_act="gelu",
                       pad_token_id=0)


MODELS = {
    "tiny-eps": sd1(),
    "tiny-v": sd1(scheduler=DDIM_V),
    "tiny-inpaint": sd1("StableDiffusionInpaintPipeline", in_channels=9),
    "tiny-lcm": sd1("LatentConsistencyModelPipeline", LCM, time_cond_proj_dim=16),
    "tiny-sd2": {**sd1(scheduler={**DDIM_V, "rescale_betas_zero_snr": True}, attention_head_dim=[2, 4], cross_attention_dim=48,
                       use_linear_projection=True), "text_encoder": sd2_text_config},
    "tiny-xl": xl(XL_PARTS, xl_config()),
    "tiny-lcm-xl": xl(XL_PARTS, xl_config(time_cond_proj_dim=16)),
    "tiny-refiner": xl(REFINER_PARTS, xl_config(
        block_out_channels=[32, 48, 64, 64], attention_head_dim=[2, 3, 4, 4], cross_attention_dim=48, transformer_layers_per_block=2,
        projection_class_embeddings_input_dim=80,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"]), "StableDiffusionXLImg2ImgPipeline"),
}
PAD_FIRST = ("tiny-sd2", "tokenizer_2")  # whose prompts are filled up with "!", id 0


def write_text(out, name, model, vocabulary_of):
    """The tokenizers, and the text encoders' configs with the vocabulary's size."""
    for encoder in ("text_encoder", "text_encoder_2"):
        if encoder not in model:
            continue
        tokenizer = encoder.replace("text_encoder", "tokenizer")
        vocabulary = write_tokenizer(out / tokenizer, "!" if name in PAD_FIRST or tokenizer in PAD_FIRST else END)
        vocabulary_of[encoder] = model[encoder](vocabulary)
        write_json(out / encoder / "config.json", vocabulary_of[encoder])


def write_model(out, name, model):
    """One complete diffusers folder; gives its tensors by component."""
    encoders = {}
    write_text(out, name, model, encoders)
    write_json(out / "model_index.json", model["index"])
    write_json(out / "scheduler/scheduler_config.json", model["scheduler"])
    for part in ("unet", "vae"):
        write_json(out / part / "config.json", model[part])
    prefix = "" if name in ("tiny-eps", "tiny-v") else name + "/"
    parts = {"unet": tensors(prefix + "unet", unet_shapes(model["unet"])), "vae": tensors(prefix + "vae", vae_shapes(model["vae"]))}
    for encoder, config in encoders.items():
        parts[encoder] = tensors(prefix + encoder, text_shapes(config))
    for part, table in parts.items():
        stem = "model" if part.startswith("text") else "diffusion_pytorch_model"
        write_safetensors(out / part / f"{stem}.safetensors", table)
    return parts


# ---- what goes with a model ----


def control_config(unet, **changes):
    left_out = ("_class_name", "center_input_sample", "out_channels", "sample_size", "up_block_types", "time_cond_proj_dim")
    return {"_class_name": "ControlNetModel", **{key: value for key, value in unet.items() if key not in left_out},
            "conditioning_channels": 3, "conditioning_embedding_out_channels": [8, 16, 16, 24], "controlnet_conditioning_channel_order": "rgb",
            "global_pool_conditions": False, **changes}


TAESD = {"_class_name": "AutoencoderTiny", "act_fn": "relu", "upsample_fn": "nearest", "in_channels": 3, "out_channels": 3,
         "latent_channels": 4, "encoder_block_out_channels": [16] * 4, "decoder_block_out_channels": [16] * 4,
         "num_encoder_blocks": [1, 1, 1, 1], "num_decoder_blocks": [1, 1, 1, 1], "upsampling_scaling_factor": 2, "latent_magnitude": 3,
         "latent_shift": 0.5, "scaling_factor": 1.0, "force_upcast": False}


def write_network(out, name, config, shapes):
    write_json(out / "config.json", config)
    table = tensors(name, shapes(config))
    write_safetensors(out / "diffusion_pytorch_model.safetensors", table)
    return table


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    models = {name: write_model(out / name, name, model) for name, model in MODELS.items()}
    for name, base in (("tiny-control", "tiny-eps"), ("tiny-control-xl", "tiny-xl")):
        models[name] = {"control": write_network(out / name, name, control_config(MODELS[base]["unet"]), control_shapes)}
    models["tiny-taesd"] = {"vae": write_network(out / "tiny-taesd", "tiny-taesd", TAESD, tiny_vae_shapes)}
    write_singles(out / "single", models, MODELS, write_safetensors)
    write_adapters(out, models, tensor, write_safetensors)


if __name__ == "__main__":
    main()

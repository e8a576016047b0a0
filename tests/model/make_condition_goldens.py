#!/usr/bin/env python3
"""Makes tests/model/goldens/conditions.safetensors: prompts in chunks and with weights, and a model that is told its guidance and sizes.

    python3 models/fixtures.py build/fixtures
    python3 tests/model/make_condition_goldens.py build/fixtures tests/model/goldens      # see requirements.txt

For MODEL in tiny-eps, tiny-sd2, tiny-xl
    MODEL.long       f32 [154, cross width]   LONG in chunks of 75 tokens, each encoded by itself
    MODEL.weighted   f32 [77, cross width]    PIECES, tokenized one by one; hidden states times their weights, then all times a number
                                              that gives them the mean they had (per encoder)
and tiny-lcm-xl.unet.input, .output           as in make_family_goldens.py
"""
import sys

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from make_family_goldens import NEGATIVE, PROMPT, SIZES, TIMESTEPS, noise
from safetensors.torch import save_file

LONG = ", ".join([PROMPT] * 9)
PIECES = [("a ", 1.0), ("red", 1.4), (" house ", 1.0), ("by", 1 / 1.1), (" the lake", 1.0)]  # "a (red:1.4) house [by] the lake"
ROOM = 75


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False).input_ids


def chunk(tokenizer, ids):
    filled = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
    return torch.tensor([filled + [tokenizer.pad_token_id] * (ROOM + 2 - len(filled))])


def hidden(encoder, ids, xl):
    out = encoder(ids, output_hidden_states=True)
    return (out.hidden_states[-2] if xl else out.last_hidden_state)[0]


def weighted(z, weights):
    before = z.mean()
    z = z * torch.tensor(weights)[:, None]
    return z * (before / z.mean())


def main(fixtures, folder):
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    out = {}
    for model in ("tiny-eps", "tiny-sd2", "tiny-xl"):
        xl = model == "tiny-xl"
        pipe = (StableDiffusionXLPipeline if xl else StableDiffusionPipeline).from_pretrained(f"{fixtures}/{model}", torch_dtype=torch.float32)
        parts = [(pipe.tokenizer, pipe.text_encoder)] + ([(pipe.tokenizer_2, pipe.text_encoder_2)] if xl else [])
        long, light = [], []
        for tokenizer, encoder in parts:
            ids = ids_of(tokenizer, LONG)
            assert ROOM < len(ids) <= 2 * ROOM, len(ids)
            long.append(torch.cat([hidden(encoder, chunk(tokenizer, ids[i:i + ROOM]), xl) for i in range(0, len(ids), ROOM)]))
            pieces = [(ids_of(tokenizer, text), weight) for text, weight in PIECES]
            weights = [1.0, *(weight for ids, weight in pieces for _ in ids)]
            z = hidden(encoder, chunk(tokenizer, [i for ids, _ in pieces for i in ids]), xl)
            light.append(weighted(z, weights + [1.0] * (len(z) - len(weights))))
        out[f"{model}.long"], out[f"{model}.weighted"] = torch.cat(long, -1), torch.cat(light, -1)
    pipe = StableDiffusionXLPipeline.from_pretrained(f"{fixtures}/tiny-lcm-xl", torch_dtype=torch.float32)
    prompt, negative, pooled, negative_pooled = pipe.encode_prompt(PROMPT, None, "cpu", 1, True, NEGATIVE)
    x = noise((2, 4, 8, 8), 1)
    added = {"text_embeds": torch.cat([negative_pooled, pooled]), "time_ids": torch.tensor([SIZES, SIZES], dtype=torch.float32)}
    told = pipe.get_guidance_scale_embedding(torch.tensor([7.0, 7.0]), embedding_dim=pipe.unet.config.time_cond_proj_dim)
    out["tiny-lcm-xl.unet.input"] = x
    out["tiny-lcm-xl.unet.output"] = pipe.unet(x, torch.tensor(TIMESTEPS), torch.cat([negative, prompt]), timestep_cond=told,
                                               added_cond_kwargs=added).sample
    save_file({name: tensor.contiguous() for name, tensor in out.items()}, f"{folder}/conditions.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])

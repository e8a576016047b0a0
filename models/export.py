"""Writes the model as a diffusers folder with fp16 safetensors (EMA weights).

    python export.py --work DIR --out models/demo [--untrained]
"""
import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from safetensors.torch import save_file
from transformers import CLIPTokenizer

from nets import BETAS, Ema, load_checkpoint, make_text, make_unet, make_vae

LIMIT = 40 * 10 ** 6
SCHEDULER = dict(**BETAS, prediction_type="v_prediction", timestep_spacing="trailing", steps_offset=1,
                 set_alpha_to_one=True, clip_sample=False, rescale_betas_zero_snr=False)
INDEX = {
    "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.35.2", "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"], "safety_checker": [None, None],
    "feature_extractor": [None, None], "image_encoder": [None, None], "requires_safety_checker": False}


def load(work, device="cpu"):
    """VAE, U-Net, text encoder and tokenizer with EMA weights; whatever has no checkpoint is untrained."""
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    torch.manual_seed(0)
    vae, unet, text = make_vae(), make_unet(), make_text(tokenizer)
    state = load_checkpoint(work / "vae.pt")
    scale = 1.0
    if state:
        vae.load_state_dict(state["vae"])
        frozen = {k: v.clone() for k, v in vae.state_dict().items() if k.startswith(("encoder.", "quant_conv."))}
        ema = Ema(vae)
        ema.load(state["ema"])
        ema.swap()
        scale = state.get("scaling_factor", 1.0)
        if scale != 1.0:
            vae.load_state_dict(frozen, strict=False)
    state = load_checkpoint(work / "unet.pt")
    if state:
        ema = Ema(torch.nn.ModuleList([unet, text]))
        ema.load(state["ema"])
        ema.swap()
    vae.register_to_config(scaling_factor=scale)
    return [m.to(device).eval() for m in (vae, unet, text)] + [tokenizer]


def plain_config(module, name):
    """config.json of a module, without local paths."""
    config = json.loads(module.to_json_string() if hasattr(module, "to_json_string") else module.config.to_json_string())
    config.pop("_name_or_path", None)
    if name == "text_encoder":
        config["dtype"] = config["torch_dtype"] = "float16"
        config["architectures"] = ["CLIPTextModel"]
    return config


def write(out, work, parts):
    """The whole folder; files of an earlier export are replaced."""
    vae, unet, text, _ = parts
    for name, module, file in (("vae", vae, "diffusion_pytorch_model"), ("unet", unet, "diffusion_pytorch_model"), ("text_encoder", text, "model")):
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(plain_config(module, name), indent=2, sort_keys=True) + "\n")
        tensors = {k: v.detach().half().contiguous() for k, v in module.state_dict().items() if not k.endswith("position_ids")}
        assert all(torch.isfinite(v).all() for v in tensors.values()), f"{name}: a weight does not fit fp16"
        save_file(tensors, folder / f"{file}.safetensors.part", metadata={"format": "pt"})
        (folder / f"{file}.safetensors.part").chmod(0o644)
        (folder / f"{file}.safetensors.part").replace(folder / f"{file}.safetensors")
    (out / "tokenizer").mkdir(exist_ok=True)
    for file in ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(work / "tokenizer" / file, out / "tokenizer" / file)
    (out / "scheduler").mkdir(exist_ok=True)
    DDIMScheduler(**SCHEDULER).save_pretrained(out / "scheduler")
    (out / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")
    total = sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    assert total <= LIMIT, f"{total} bytes are too many"
    return total


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--work", default=".work/train")
    args.add_argument("--out", default=str(Path(__file__).resolve().parent / "demo"))
    a = args.parse_args()
    out, work = Path(a.out), Path(a.work)
    parts = load(work)
    for name, m in zip(("vae", "unet", "text"), parts):
        print(f"{name}: {sum(p.numel() for p in m.parameters()) / 1e6:.2f} M")
    print(f"{write(out, work, parts)} bytes in {out}")


if __name__ == "__main__":
    main()

"""Makes training checkpoints from an exported model, to go on where no checkpoint was kept.

    python from_export.py --work DIR [--model models/demo]

Writes vae.pt (frozen encoder), unet.pt, latents.json and tokenizer/; then dataset.py and encode.py as usual. The
optimisers start afresh and all weights are the EMA's, rounded to fp16: a few hundred steps make up for that.
"""
import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from export import load
from nets import save_atomic


def fill(module, file):
    """Weights of a safetensors file, as float32."""
    module.load_state_dict({k: v.float() for k, v in load_file(file).items()}, strict=True)
    return module


def mean_of(module):
    return [p.detach().clone() for p in module.parameters()]


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--work", default=".work/train")
    args.add_argument("--model", default=str(Path(__file__).resolve().parent / "demo"))
    args.add_argument("--seen", type=int, default=0, help="samples that the U-Net had seen")
    a = args.parse_args()
    work, model = Path(a.work), Path(a.model)
    for name in ("vae.pt", "unet.pt"):
        assert not (work / name).exists(), f"{work / name} is there already: nothing to do"
    shutil.copytree(model / "tokenizer", work / "tokenizer", dirs_exist_ok=True)
    vae, unet, text, _ = load(work)
    fill(vae, model / "vae/diffusion_pytorch_model.safetensors")
    fill(unet, model / "unet/diffusion_pytorch_model.safetensors")
    fill(text, model / "text_encoder/model.safetensors")
    scale = json.loads((model / "vae/config.json").read_text())["scaling_factor"]
    (work / "latents.json").write_text(json.dumps({"scaling_factor": scale}))
    save_atomic({"vae": vae.state_dict(), "ema": {"step": 10000, "mean": mean_of(vae)}, "step": 0, "seen": 0, "phase": "frozen",
                 "scaling_factor": scale}, work / "vae.pt")
    both = torch.nn.ModuleList([unet, text])
    save_atomic({"unet": unet.state_dict(), "text": text.state_dict(), "ema": {"step": 10000, "mean": mean_of(both)},
                 "step": a.seen // 32, "seen": a.seen}, work / "unet.pt")
    print(f"checkpoints in {work}")


if __name__ == "__main__":
    main()

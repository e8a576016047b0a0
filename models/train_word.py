"""Trains a word for the demo by textual inversion: two vectors that stand for a whole scene.

    python train_word.py --work DIR --out demo-family/homecoming.safetensors --minutes 5

<homecoming> is a winter night with snow-capped mountains, a red house with lit windows and pine trees. Nothing but the word changes.
"""
from pathlib import Path

import torch

from variants import begin, options, train, write_weights

WORD, VECTORS = "<homecoming>", 2
WISH = {"time": "night", "season": "winter", "house": "red", "tree_kind": "pine", "land": "mountains"}
FRAMES = ("a landscape, {}", "{}", "a picture of {}", "a scene with {}", "mountains, {}", "a valley and {}")


def main():
    a = options(__doc__, 29544, lr=5e-3)
    base = begin(a)
    rows_of = [i for i, scene in enumerate(base.data.scenes) if all(scene[field] == value for field, value in WISH.items())
               and scene["house_2"] == "none" and i < base.data.pictures]
    table = base.text.get_input_embeddings()
    start = base.data.tokenizer("night winter").input_ids[1:-1][:VECTORS]
    words = torch.nn.Parameter(table.weight[start].clone())
    fresh = torch.arange(VECTORS) + table.num_embeddings

    def look_up(ids):
        return torch.cat([table.weight, words])[ids]

    table.forward = look_up

    def loss():
        rows = [rows_of[base.rng.integers(len(rows_of))] for _ in range(a.batch)]
        ids = []
        for _ in rows:
            before, after = FRAMES[base.rng.integers(len(FRAMES))].split("{}")
            tokens = base.data.tokenizer
            line = [tokens.bos_token_id, *tokens(before).input_ids[1:-1], *fresh.tolist(), *tokens(after).input_ids[1:-1]]
            ids.append(line + [tokens.eos_token_id] * (77 - len(line)))
        said = base.text(torch.tensor(ids)).last_hidden_state
        noisy, v, t, weight = base.noised(base.latents(rows))
        return (weight * (base.unet(noisy, t, said).sample.float() - v) ** 2).mean()

    train(a, "word", [words], loss)
    write_weights({WORD: words.detach().float().contiguous()}, Path(a.out))


if __name__ == "__main__":
    main()

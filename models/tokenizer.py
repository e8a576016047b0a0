"""Makes the demo model's own byte-pair vocabulary in CLIP's file format.

    python tokenizer.py OUTDIR [--captions 20000]

Vocabulary order, as in CLIP: 256 byte symbols, the same with `</w>`, one symbol a merge, then
`<|startoftext|>` and `<|endoftext|>`. The byte alphabet is complete, so any text can be cut into tokens.
Words come from captions of the painter's scenes (seed 11): every common word ends as one token.
"""
import argparse
import json
import random
import re
from collections import Counter
from pathlib import Path

from captions import caption
from scene import scenes

START, END = "<|startoftext|>", "<|endoftext|>"
SEED = 11
# Words that people may add and that the painter has no picture for; they only keep the pieces sensible.
EXTRA = """beautiful nice small large big old new wooden tiny photo drawing artwork style digital art water river sea
forest wood cloud star storm sunny warm cold bright dark sky ground grass road bridge bird animal person people no not
without very high quality detailed colorful blurry ugly text watermark tree trees mountain house boat snow sun moon lake""".split()


def byte_symbols():
    """CLIP's printable stand-in for each byte, in its order."""
    keep = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    table = {b: chr(b) for b in keep}
    extra = 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + extra)
            extra += 1
    return table


def words(count):
    """Word counts of captions, cut by CLIP's rule (letters together, digits and the rest apart)."""
    rng, tally = random.Random(SEED), Counter()
    for scene in scenes(SEED, count):
        tally.update(re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]+", caption(scene, rng)[0].lower()))
    tally.update({w: 40 for w in EXTRA})
    return tally


def learn_merges(tally, symbols):
    """Plain byte-pair merging until no pair occurs in two places or more; ties go to the smaller pair."""
    split = {w: [symbols[b] for b in w.encode()] for w in tally}
    for parts in split.values():
        parts[-1] += "</w>"
    merges = []
    while True:
        pairs = Counter()
        for w, parts in split.items():
            for pair in zip(parts, parts[1:]):
                pairs[pair] += tally[w]
        if not pairs:
            return merges
        best = min(pairs, key=lambda p: (-pairs[p], p))
        if pairs[best] < 10:
            return merges
        merges.append(best)
        for parts in split.values():
            i = 0
            while i < len(parts) - 1:
                if (parts[i], parts[i + 1]) == best:
                    parts[i:i + 2] = ["".join(best)]
                i += 1


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("out")
    args.add_argument("--captions", type=int, default=20000)
    a = args.parse_args()
    out = Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    symbols = byte_symbols()
    # CLIP lists the printable bytes first, then the stand-ins.
    alphabet = sorted(symbols.values(), key=lambda c: (ord(c) > 255, ord(c)))
    merges = learn_merges(words(a.captions), symbols)
    vocab = [*alphabet, *(c + "</w>" for c in alphabet), *("".join(m) for m in merges), START, END]
    assert len(set(vocab)) == len(vocab)
    (out / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(vocab)}, ensure_ascii=False))
    (out / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{x} {y}\n" for x, y in merges))
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    (out / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, "errors": "replace",
              "add_prefix_space": False, **special}
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    print(f"{len(vocab)} tokens, {len(merges)} merges in {out}")


if __name__ == "__main__":
    main()

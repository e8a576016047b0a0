#!/usr/bin/env python3
"""tokenizer_fuzz.py - our tokenizer against the two classes of transformers, on random text that is easy to get wrong.

    python tokenizer_fuzz.py [--folder demo] [--count 20000] [--seed 1] [--program ../build/tests/model/tokenize]
    python tokenizer_fuzz.py --vectors ../tests/model/goldens/tokens.json     # writes the texts of KEPT with their ids

"plain" is CLIPTokenizer, "fast" CLIPTokenizerFast; diffusers opens the one that a model's index names. ftfy must not be
installed: with it CLIPTokenizer mends mojibake first, and the pinned versions (requirements.txt) do not bring it. Characters
that Python's tables do not know yet are left out: what an unassigned character is differs from version to version. Prints
each text whose ids differ, shortened as far as it still differs, and exits 1 when there is any.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import unicodedata

from transformers import CLIPTokenizer, CLIPTokenizerFast

HERE = pathlib.Path(__file__).parent
CLASSES = {"plain": CLIPTokenizer, "fast": CLIPTokenizerFast}
PIECES = [
    "<|startoftext|>", "<|endoftext|>", "<|ENDOFTEXT|>", "<|StartOfText|>", "<|endoftext", "endoftext|>", "<|", "|>", "<<|endoftext|>>",
    "'s", "'S", "'t", "'re", "'ve", "'m", "'ll", "'d", "'LL", "'\u017f", "\u2019s", "'", "''", "don't", "O'Neil's", "rock'n'roll",
    " ", "  ", "\t", "\n", "\r\n", "\v", "\f", "\x1c", "\x1f", "\x85", "\xa0", "\u1680", "\u180e", "\u2003", "\u200b", "\u2028", "\u2029",
    "\u202f", "\u205f", "\u3000", "\ufeff", "\x01", "\x1b", "\x7f", "\x80", "\xad", "\u200d", "\u200c", "\u200e", "\u2060", "\ufffd",
    "\ufffe", "\ue000", "\U000e0041", "\ufe0f", "\u20e3",
    "a", "B", "word", "Photo", "PORTRAIT", "4k", "8K", "1234", "3.14", "1,000", "\u00bd", "\u00b2", "\u2163", "\u0663", "\u4e00\u4e8c", "\u2460",
    "!", "?", "...", "--", "_", "(a:1.2)", "[b]", "{c}", "<lora:x:1>", "#tag", "@you", "&amp;", "&lt;b&gt;", "&#39;", "&amp;amp;", "\\", "/", "|", "~",
    "\u00e9", "e\u0301", "\u0301", "\u0300\u0301", "\u1e69", "s\u0323\u0307", "\u00c5", "\u212b", "\u2126", "K\u212a", "\u0130", "I\u0307", "\u0131", "\u00df", "\u1e9e",
    "\u039f\u0394\u039f\u03a3", "\u03a3", "\u03a3\u03a3", "A\u03a3.", "A\u03a3\u0301", "\u03a3'A", "\u01c5", "\ufb01", "\u017f", "\u24b6\u03a3", "\u2160\u03a3",
    "\u4e2d\u6587", "\u65e5\u672c\u8a9e", "\u3042\u30a2", "\ud55c\uad6d", "\u1112\u1161\u11ab", "\uf900", "\U0002f800", "\U00020000", "\u0e01\u0e33", "\u0915\u094d\u0937",
    "\u05e9\u05dc\u05d5\u05dd", "\u0633\u0644\u0627\u0645", "\u202b\u05d0\u202c",
    "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u2764\ufe0f", "\U0001f1e9\U0001f1ea", "1\ufe0f\u20e3", "\U0001f44d\U0001f3fd", "\u00a9", "\u2122",
]
# Texts that once differed, and one of each kind: the vectors of tests/unit/model/test_tokenizer.c.
KEPT = [
    "", " ", "a photo of a cat", "A  Photo\tof\na CAT", "<|endoftext|>", "cat<|endoftext|>dog", "cat!<|endoftext|>!dog", "<<|startoftext|>>",
    "x <|ENDOFTEXT|> y", "!<|ENDOFTEXT|>!", "<|endoftext|><|endoftext|>", "<|endoftext", "don't DON'T 'S 'LL '\u017ft", "\u2019s", "e\u0301 \u00e9 \u0301",
    "a\u180eb", "a\u200bb", "a\u200db", "a\x85b", "a\x1cb", "a\x01b", "a\u2028b", "a\u00a0b", "a\u00adb", "a\ufeffb", "a\ufffdb", "a\ue000b", "e\u200d\u0301",
    "\u4e2d\u6587a", "\u65e5\u672c\u8a9e\u3067\u3059", "\uf900", "\U0002f800", "\ud55c\uad6d\uc5b4", "\u1112\u1161\u11ab", "\u03a3", "\u039f\u0394\u039f\u03a3 \u039f\u0394\u039f\u03a3. A\u03a3'B", "\u2160\u03a3 \u24b6\u03a3",
    "\u0130 I \u0131 \u212a \u1e9e", "\u00bd\u00b2\u2163 1234 3.14", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u2764\ufe0f 1\ufe0f\u20e3 \U0001f1e9\U0001f1ea",
    "&amp; &lt;b&gt; &#39;", "(masterpiece:1.2), [bad]", "\u05e9\u05dc\u05d5\u05dd \u0633\u0644\u0627\u0645", "a " * 80,
]


def known(text):
    """No character that is still unassigned; the private ones and the surrogates' neighbours stay."""
    return all(unicodedata.category(c) != "Cn" or c in "\ufffe" for c in text)


def random_text(chance):
    pieces = []
    for _ in range(chance.randint(1, 12)):
        if chance.random() < 0.12:
            pieces.append(chr(chance.choice([chance.randint(1, 0x2ff), chance.randint(1, 0xd7ff), chance.randint(0xe000, 0x10ffff)])))
        else:
            pieces.append(chance.choice(PIECES))
        if chance.random() < 0.35:
            pieces.append(" ")
    text = "".join(pieces)
    return text if known(text) else random_text(chance)


def ours(program, folder, rules, texts):
    lines = "".join(text.encode().hex() + "\n" for text in texts)
    done = subprocess.run([program, folder, rules], input=lines, capture_output=True, text=True, check=True)
    return [line if line.startswith("refused") else [int(word) for word in line.split()] for line in done.stdout.splitlines()]


def theirs(tokenizer, texts):
    # one by one: the plain class remembers nothing between texts that could matter
    return [tokenizer(text, padding="max_length", max_length=77, truncation=True).input_ids for text in texts]


def shortened(text, differs):
    """Drops characters as long as the rest still differs."""
    at = 0
    while at < len(text):
        shorter = text[:at] + text[at + 1:]
        if shorter and differs(shorter):
            text = shorter
        else:
            at += 1
    return text


def compare(a, rules):
    tokenizer = CLASSES[rules].from_pretrained(a.folder / "tokenizer")
    chance = random.Random(f"{a.seed} {rules}")
    texts = KEPT + PIECES + [random_text(chance) for _ in range(a.count)]
    wrong = [text for text, got, want in zip(texts, ours(a.program, a.folder, rules, texts), theirs(tokenizer, texts)) if got != want]

    def differs(text):
        return ours(a.program, a.folder, rules, [text]) != theirs(tokenizer, [text])
    for text in sorted({shortened(text, differs) for text in wrong[:40]}, key=len):
        print(f"{rules}: {text!r}: {ours(a.program, a.folder, rules, [text])[0][:12]}, transformers {theirs(tokenizer, [text])[0][:12]}")
    print(f"{rules}: {len(wrong)} of {len(texts)} texts differ")
    return len(wrong)


def write_vectors(a):
    made = {rules: kind.from_pretrained(a.folder / "tokenizer") for rules, kind in CLASSES.items()}
    rows = [{"text": text, **{rules: theirs(tokenizer, [text])[0] for rules, tokenizer in made.items()}} for text in KEPT]
    lines = ",\n".join(json.dumps(row) for row in rows)
    a.vectors.write_text(f"[\n{lines}\n]\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=pathlib.Path, default=HERE / "demo")
    parser.add_argument("--program", type=pathlib.Path, default=HERE.parent / "build/tests/model/tokenize")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vectors", type=pathlib.Path)
    a = parser.parse_args()
    if a.vectors:
        write_vectors(a)
        return 0
    return 1 if sum(compare(a, rules) for rules in CLASSES) else 0


if __name__ == "__main__":
    sys.exit(main())

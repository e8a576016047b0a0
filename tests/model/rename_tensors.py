#!/usr/bin/env python3
"""rename_tensors.py FILE OLD=NEW... +NAME... -PREFIX...   renames parts of tensors' names in a safetensors file, adds
a tensor, or leaves out those whose names begin so

An added tensor is I64 [1, 77], as old text encoders have it for position_ids.
"""
import json
import struct
import sys


def left_out(header, body, prefix):
    """Header and body without these tensors, the others one after another."""
    kept, parts, at = {}, [], 0
    for name, entry in header.items():
        if name == "__metadata__" or name.startswith(prefix):
            continue
        begin, end = entry["data_offsets"]
        parts.append(body[begin:end])
        kept[name] = {**entry, "data_offsets": [at, at + end - begin]}
        at += end - begin
    assert len(kept) < len(header), prefix
    return kept, b"".join(parts)


def main(path, *changes):
    data = open(path, "rb").read()
    size, = struct.unpack("<Q", data[:8])
    text, body = data[8:8 + size].decode(), data[8 + size:]
    for change in changes:
        if change[0] not in "+-":
            old, new = change.split("=")
            assert old in text, old
            text = text.replace(old, new)
    header = json.loads(text)
    for change in changes:
        if change.startswith("-"):
            header, body = left_out(header, body, change[1:])
        if change.startswith("+"):
            header[change[1:]] = dict(dtype="I64", shape=[1, 77], data_offsets=[len(body), len(body) + 8 * 77])
            body += struct.pack("<77q", *range(77))
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    open(path, "wb").write(struct.pack("<Q", len(text)) + text + body)


if __name__ == "__main__":
    main(*sys.argv[1:])

#!/usr/bin/env python3
"""safetensors_compare.py - which odd safetensors files the reference implementation takes, and whether we take the same.

    python safetensors_compare.py [--program ../build/tests/model/heads] [--random 5000]
    python safetensors_compare.py --vectors ../tests/model/goldens/safetensors.json

Each file is small and has one oddity, as tools write it or as only an attacker would; --random mixes them. Where we refuse
what the reference takes, OURS says why. Prints what differs and exits 1 when there is any.
"""
import argparse
import json
import pathlib
import random
import struct
import subprocess
import sys

import safetensors

HERE = pathlib.Path(__file__).parent
A = '"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}'
B = '"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}'
TYPES = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
         "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F128": 128, "f32": 32, "": 32, "I4": 4}
# Names of files that the reference takes and we refuse, and why.
OURS = {
    "name of 600 bytes": "a name may have 512 bytes",
    "rank 9": "a shape may have 8 sides",
    "zero byte in a name": "a name with a zero byte cannot be told from a shorter one",
    "same name twice": "which of the two is meant is anybody's guess",
    "padded in front": "the format's page asks for '{' first, and so a pickle is told apart",
    "huge side of nothing": "a side may have 2^63 - 1",
    "entry list": "the format's page knows objects only",
    "metadata key twice": "the same rule",
    "deep extra": "JSON may be nested 4 deep",
}


def one(dtype, shape, begin, end, extra=""):
    return f'{{"a":{{"dtype":"{dtype}","shape":{json.dumps(shape)},"data_offsets":[{begin},{end}]{extra}}}}}'


def files():
    """name -> (header, bytes of data[, header length said])"""
    yield "two", f"{{{A},{B}}}", 32
    yield "other order", f"{{{B},{A}}}", 32
    yield "empty", "{}", 0
    yield "padded with spaces", f"{{{A},{B}}}     ", 32
    yield "padded with a newline", f"{{{A},{B}}}\n", 32
    yield "padded with tabs", f"{{{A},{B}}}\t\r\n ", 32
    yield "padded with zeros", f"{{{A},{B}}}\0\0", 32
    yield "padded in front", f" {{{A},{B}}}", 32
    yield "mark in front", f"\ufeff{{{A},{B}}}", 32
    yield "spaces inside", f"{{ {A} ,\n{B} }}", 32
    yield "metadata", f'{{"__metadata__":{{"format":"pt","x":""}},{A},{B}}}', 32
    yield "metadata last", f'{{{A},{B},"__metadata__":{{"format":"pt"}}}}', 32
    yield "metadata empty", f'{{"__metadata__":{{}},{A},{B}}}', 32
    yield "metadata null", f'{{"__metadata__":null,{A},{B}}}', 32
    yield "metadata number", f'{{"__metadata__":{{"step":7}},{A},{B}}}', 32
    yield "metadata list", f'{{"__metadata__":[],{A},{B}}}', 32
    yield "metadata nested", f'{{"__metadata__":{{"a":{{}}}},{A},{B}}}', 32
    yield "metadata key twice", f'{{"__metadata__":{{"a":"1","a":"2"}},{A},{B}}}', 32
    yield "metadata twice", f'{{"__metadata__":{{}},"__metadata__":{{}},{A},{B}}}', 32
    for dtype, bits in TYPES.items():
        yield f"dtype {dtype}", one(dtype, [16], 0, 2 * bits), 2 * bits
    for dtype in ("F4", "F6_E2M3"):
        yield f"{dtype} of no whole bytes", one(dtype, [3], 0, 2), 2
    yield "scalar", one("F32", [], 0, 4), 4
    yield "nothing", one("F32", [0], 0, 0), 0
    yield "nothing of many", one("F32", [5, 0, 7], 0, 0), 0
    yield "nothing first", f'{{"z":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}},{A},{B}}}', 32
    yield "nothing between", f'{{{A},"z":{{"dtype":"F32","shape":[0],"data_offsets":[24,24]}},{B}}}', 32
    yield "nothing at the end", f'{{{A},{B},"z":{{"dtype":"F32","shape":[0],"data_offsets":[32,32]}}}}', 32
    yield "nothing behind the end", f'{{{A},{B},"z":{{"dtype":"F32","shape":[0],"data_offsets":[33,33]}}}}', 32
    yield "two of nothing", '{"y":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"z":{"dtype":"I8","shape":[0,2],"data_offsets":[0,0]}}', 0
    yield "hole", f'{{{A},"b":{{"dtype":"BF16","shape":[4],"data_offsets":[28,36]}}}}', 36
    yield "hole in front", one("F32", [1], 4, 8), 8
    yield "overlap", f'{{{A},"b":{{"dtype":"BF16","shape":[4],"data_offsets":[20,28]}}}}', 28
    yield "same place twice", f'{{{A},"b":{{"dtype":"F32","shape":[6],"data_offsets":[0,24]}}}}', 24
    yield "rest", f"{{{A},{B}}}", 33
    yield "short", f"{{{A},{B}}}", 31
    yield "too many bytes for the shape", one("F32", [2], 0, 12), 12
    yield "backwards", one("F32", [1], 4, 0), 4
    yield "not aligned", f'{{"a":{{"dtype":"U8","shape":[1],"data_offsets":[0,1]}},"b":{{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}}}', 5
    yield "product overflows", one("F32", [2**32, 2**32], 0, 0), 0
    yield "product overflows to nothing", one("F32", [2**62, 4], 0, 0), 0
    yield "huge side of nothing", one("F32", [2**63, 0], 0, 0), 0
    yield "zero hides an overflow", one("F32", [0, 2**40, 2**40], 0, 0), 0
    yield "side of 2^64", one("F32", [2**64], 0, 4), 4
    yield "negative side", one("F32", [-1], 0, 4), 4
    yield "real side", '{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', 4
    yield "text side", '{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}', 4
    yield "shape null", '{"a":{"dtype":"F32","shape":null,"data_offsets":[0,4]}}', 4
    yield "three offsets", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}}', 4
    yield "one offset", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}', 4
    yield "no dtype", '{"a":{"shape":[1],"data_offsets":[0,4]}}', 4
    yield "no shape", '{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4
    yield "no offsets", '{"a":{"dtype":"F32","shape":[1]}}', 4
    yield "extra key", one("F32", [1], 0, 4, ',"note":"x"'), 4
    yield "deep extra", one("F32", [1], 0, 4, ',"note":[[[[]]]]'), 4
    yield "keys in other order", '{"a":{"data_offsets":[0,4],"shape":[1],"dtype":"F32"}}', 4
    yield "same key twice in an entry", '{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4
    yield "same name twice", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4
    yield "entry null", '{"a":null}', 0
    yield "entry list", '{"a":["F32",[1],[0,4]]}', 4
    yield "empty name", '{"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4
    yield "escaped name", '{"\\u0061\\u002eb":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4
    yield "emoji name", '{"\U0001f600":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4
    yield "escaped emoji name", '{"\\ud83d\\ude00":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4
    yield "half an emoji", '{"\\ud83d":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4
    yield "zero byte in a name", '{"a\\u0000b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4
    yield "name of 512 bytes", one("F32", [1], 0, 4).replace('"a"', '"' + "n" * 512 + '"'), 4
    yield "name of 600 bytes", one("F32", [1], 0, 4).replace('"a"', '"' + "n" * 600 + '"'), 4
    yield "rank 8", one("F32", [1] * 8, 0, 4), 4
    yield "rank 9", one("F32", [1] * 9, 0, 4), 4
    yield "not UTF-8", b'{"\xff":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4
    yield "list", "[]", 0
    yield "text", '"a"', 0
    yield "two documents", "{}{}", 0
    yield "comma at the end", f"{{{A},{B},}}", 32
    yield "cut", f"{{{A},", 32
    yield "header length one more", f"{{{A},{B}}}", 32, +1
    yield "header length one less", f"{{{A},{B}}}", 32, -1
    yield "header length huge", "{}", 0, 2**40
    yield "header of nothing", "", 0


def build(header, data, off=0):
    header = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(header) + off) + header + bytes(i % 251 for i in range(data))


def reference(file):
    try:
        safetensors.deserialize(file)
        return True
    except safetensors.SafetensorError:
        return False


def ours(program, many):
    done = subprocess.run([program], input="".join(file.hex() + "\n" for file in many), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def mixed(count):
    """Headers out of random entries that mostly fit together."""
    chance = random.Random(1)
    for at in range(count):
        entries, end = [], 0
        for i in range(chance.randint(0, 4)):
            dtype, bits = chance.choice(list(TYPES.items()))
            shape = [chance.choice([0, 1, 2, 3, 8]) for _ in range(chance.randint(0, 3))]
            size = bits
            for side in shape:
                size *= side
            begin, end = end, end + (size + chance.choice([0, 0, 0, 7])) // 8
            begin += chance.choice([0] * 30 + [1, -1])
            entries.append(f'"{chance.choice("abcdefgh")}{i}":{{"dtype":"{dtype}","shape":{json.dumps(shape)},"data_offsets":[{begin},{end}]}}')
        chance.shuffle(entries)
        yield f"mixed {at}", "{" + ",".join(entries) + "}" + " " * chance.randint(0, 3), end + chance.choice([0] * 30 + [1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, default=HERE.parent / "build/tests/model/heads")
    parser.add_argument("--random", type=int, default=5000)
    parser.add_argument("--vectors", type=pathlib.Path)
    a = parser.parse_args()
    rows = [(name, build(*rest)) for name, *rest in files()]
    if a.vectors:
        lines = ",\n".join(json.dumps({"name": name, "file": file.hex(), "taken": reference(file) and name not in OURS}) for name, file in rows)
        a.vectors.write_text(f"[\n{lines}\n]\n")
        return 0
    rows += [(name, build(*rest)) for name, *rest in mixed(a.random)]
    wrong = 0
    for (name, file), answer in zip(rows, ours(a.program, [file for _, file in rows])):
        wanted = reference(file)
        if (answer == "OK") != wanted and name not in OURS:
            wrong += 1
            print(f"{name}: the reference {'takes' if wanted else 'refuses'} it, we say {answer}: {file[8:200]}")
        elif name in OURS and (answer == "OK" or not wanted):
            wrong += 1
            print(f"{name}: listed as refused by us alone, but the reference {'takes' if wanted else 'refuses'} it and we say {answer}")
    print(f"{wrong} of {len(rows)} files differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""libraries.py - prints where this Python's wheels keep cuDNN and cuBLASLt, as DARKROOM_CUDA_LIBRARIES wants it.

PyTorch brings them as wheels: site-packages/nvidia/*/lib. The folder of the one PyTorch that would be imported comes first.
"""
import site
import sys
from pathlib import Path

WANTED = ("libcudnn.so.9", "libcublasLt.so.13")


def main():
    roots = [Path(path) for path in [*sys.path, *site.getsitepackages()] if path]
    found = []
    for root in roots:
        for name in WANTED:
            found += [str(path.parent) for path in sorted(root.glob(f"nvidia/*/lib/{name}"))]
    print(":".join(dict.fromkeys(found)))


if __name__ == "__main__":
    main()

"""Line drawings of pictures: what the demo's control net is shown. numpy alone.

    python sketch.py IN.png OUT.png
"""
import sys

import numpy as np
from PIL import Image

EDGE = 24.0


def sketch(picture):
    """White lines on black, uint8 RGB of the same size: where a colour ends that is not only a gradient's next shade."""
    x = picture.astype(np.float32)
    down = np.abs(np.diff(x, axis=0, append=x[-1:])).sum(-1)
    across = np.abs(np.diff(x, axis=1, append=x[:, -1:])).sum(-1)
    lines = (np.maximum(down, across) > EDGE).astype(np.uint8) * 255
    return np.repeat(lines[..., None], 3, -1)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    Image.fromarray(sketch(np.asarray(Image.open(sys.argv[1]).convert("RGB")))).save(sys.argv[2])

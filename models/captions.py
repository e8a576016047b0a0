def caption_full(scene, rng):
    return "", {}

"""What a caption states, as labels that the text encoder must let one linear head read.

Learning words through the noise of denoising alone is slow, and what the U-Net does not use yet is soon forgotten: taught
its words once, the encoder had lost the number of trees and all sides after 50,000 samples of denoising. So the head's loss
stays beside the U-Net's (train_unet.py); pretrain_text.py gives the first words.
"""
import torch

CLASSES = {
    "time": ("dawn", "day", "sunset", "night"), "season": ("spring", "summer", "autumn", "winter"),
    "weather": ("clear", "cloudy", "rain", "snow", "fog"), "land": ("mountains", "hills"), "peaks": (0, 1, 2, 3),
    "caps": (False, True), "lake": (False, True), "body": ("none", "sun", "moon"), "body_side": ("left", "center", "right"),
    "moon_shape": ("full", "crescent"), "house": ("none", "red", "blue", "yellow"), "house_side": ("left", "right"),
    "house_2": ("none", "red", "blue", "yellow"), "boat": (False, True), "trees": (0, 1, 2, 3, 4), "tree_kind": ("none", "round", "pine")}


def labels(stated):
    """One class an attribute; the last class means that the caption leaves it open."""
    return [options.index(stated[name]) if stated.get(name) in options else len(options)
            for name, options in CLASSES.items()]


class Reader(torch.nn.Module):
    """Reads every attribute from the mean of the end positions' states."""

    def __init__(self, tokenizer, width):
        super().__init__()
        self.end, self.sizes = tokenizer.eos_token_id, [len(options) + 1 for options in CLASSES.values()]
        self.head = torch.nn.Linear(width, sum(self.sizes))

    def forward(self, said, ids, wanted):
        """(mean cross-entropy over the attributes, share read right)"""
        ends = (ids == self.end).unsqueeze(-1).float()
        scores = self.head((said.float() * ends).sum(1) / ends.sum(1)).split(self.sizes, 1)
        loss = sum(torch.nn.functional.cross_entropy(s, w) for s, w in zip(scores, wanted.T)) / len(self.sizes)
        right = torch.stack([(s.argmax(1) == w).float().mean() for s, w in zip(scores, wanted.T)]).mean()
        return loss, right.item()

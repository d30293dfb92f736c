"""The network of build/digits.pt, which examples/train_digits.cpp trains, as a PyTorch module: for
examples/export_model.py."""

from pathlib import Path

import torch
from torch.nn import functional as nn

TRAINED = Path(__file__).resolve().parent.parent / "build" / "digits.pt"


class Digits(torch.nn.Module):
    """Twice conv - relu - pool, 8x8 -> 4x4 -> 2x2, then one linear layer."""

    def __init__(self, state):
        super().__init__()
        for name, value in state.items():
            self.register_buffer(name, value)

    def forward(self, pixels):
        x = nn.conv2d(pixels, self.conv1_weight, self.conv1_bias, padding=1)
        x = nn.max_pool2d(nn.relu(x), 2)
        x = nn.conv2d(x, self.conv2_weight, self.conv2_bias, padding=1)
        x = nn.max_pool2d(nn.relu(x), 2)
        return nn.linear(torch.flatten(x, 1), self.linear_weight, self.linear_bias)


def net():
    state = torch.jit.load(str(TRAINED)).state_dict()
    generator = torch.Generator().manual_seed(1)
    return Digits(state), {"pixels": torch.rand(8, 1, 8, 8, generator=generator)}

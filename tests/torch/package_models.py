"""Models that the tests of packages export: see packages.cmake."""

import torch


def linear(seed):
    """What comes first is compiled, and takes for granted how many rows there are and how they lie."""
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Tanh(), torch.nn.Linear(16, 24), torch.nn.Tanh(),
                              torch.nn.Linear(24, 8))
    return net, {"x": torch.randn(4, 16)}


def first():
    return linear(1)


def second():
    """The same network with other weights: a new version of it."""
    return linear(2)


def wide():
    """No weight is so small that the compiler makes it part of the code."""
    torch.manual_seed(5)
    net = torch.nn.Sequential(torch.nn.Tanh(), torch.nn.Linear(16, 24), torch.nn.Tanh(),
                              torch.nn.Linear(24, 12))
    return net, {"x": torch.randn(4, 16)}


class Parts(torch.nn.Module):
    """Several inputs and outputs, of several element types; the length of `ids` is free."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.table = torch.nn.Embedding(10, 4, dtype=torch.float64)

    def forward(self, weights, flags, ids):
        sums = self.table(ids).sum(1)
        chosen = torch.where(flags, weights, -weights)
        return {"scores": sums * chosen, "ids": ids * 2, "half": chosen.to(torch.bfloat16)}


def parts():
    generator = torch.Generator().manual_seed(4)
    return Parts(), {
        "weights": torch.randn(4, 4, generator=generator, dtype=torch.float64),
        "flags": torch.rand(4, 4, generator=generator) > 0.5,
        "ids": torch.randint(0, 10, (4, 6), generator=generator)}, {"ids": [1]}


class Counting(torch.nn.Module):
    """Changes its own buffer in every call."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls.add_(1)
        return x + 0 * self.calls


def counting():
    return Counting(), {"x": torch.randn(4, 2)}

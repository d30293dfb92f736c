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


class Types(torch.nn.Module):
    """An input and an output of each element type; none of its answers depends on how it rounds."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        for name, dtype in FLOATING.items():
            self.register_buffer(f"w_{name}", torch.randn(4, 3, generator=generator).to(dtype))

    def forward(self, f32, f64, bf16, i64, i32, i16, i8, u8, boolean):
        return {"f32": f32 @ self.w_f32, "f64": f64 @ self.w_f64, "bf16": bf16 @ self.w_bf16,
                "i64": i64 * 3 - 1, "i32": i32 * 3 - 1, "i16": i16 * 3 - 1, "i8": i8 * 3 - 1,
                "u8": u8 * 3, "boolean": torch.logical_not(boolean)}


FLOATING = {"f32": torch.float32, "f64": torch.float64, "bf16": torch.bfloat16}
INTEGERS = {"i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8,
            "u8": torch.uint8}


def types():
    generator = torch.Generator().manual_seed(6)
    rows = {name: torch.randn(4, 4, generator=generator).to(dtype)
            for name, dtype in FLOATING.items()}
    rows |= {name: torch.randint(0, 40, (4, 4), generator=generator, dtype=dtype)
             for name, dtype in INTEGERS.items()}
    return Types(), rows | {"boolean": torch.rand(4, 4, generator=generator) > 0.5}

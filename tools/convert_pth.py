"""Turn PyTorch's .pth into a file that scratchnet.weights.load reads.

    python tools/convert_pth.py IN.pth OUT.npz
    python tools/convert_pth.py IN.pth OUT.safetensors

Needs PyTorch (`python -m pip install torch`). IN.pth is a state dict, as torchvision publishes
them, or a checkpoint that has one under "state_dict" or "model". The arrays keep their names,
with three exceptions: "module." in front of all of them goes (DataParallel puts it there), the
old names of torchvision's DenseNets become those of its code ("denselayer1.norm.1.weight":
"denselayer1.norm1.weight"), and num_batches_tracked is left out. bfloat16 becomes float32, in
which each of its numbers is exact.

A .pth is a pickle, a program; PyTorch runs it here with weights_only=True, which knows no
instructions but those that build tensors.
"""
import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from scratchnet import weights

OLD_DENSENET = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\."
                          r"([12]\.(?:weight|bias|running_mean|running_var))$")


def main(arguments: list[str] | None = None) -> int:
    """Convert a file and say what it holds; returns the exit status."""
    parser = argparse.ArgumentParser(description="Turn PyTorch's .pth into .npz or .safetensors.")
    parser.add_argument("source", metavar="IN.pth", type=Path)
    parser.add_argument("target", metavar="OUT", type=Path, help="ends in .npz or .safetensors")
    options = parser.parse_args(arguments)
    try:
        arrays = read_pth(options.source)
        weights.save(arrays, options.target)
    except (ImportError, OSError, ValueError) as error:
        print(f"convert_pth: {error}", file=sys.stderr)
        return 1
    print(f"{options.target}: {len(arrays)} arrays, "
          f"{sum(array.size for array in arrays.values()):,} values")
    return 0


def read_pth(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a .pth by torchvision's names.

    Raises ValueError for a file that is not a dict of tensors; OSError where it cannot be read.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError("a .pth is PyTorch's own format, and reading it needs PyTorch: "
                          "python -m pip install torch") from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:      # pickle, zipfile and torch each have their own
        raise ValueError(f"{path} is damaged, or no .pth, or holds more than tensors "
                         f"({type(error).__name__}). Save one with "
                         f"torch.save(model.state_dict(), …)") from error
    for key in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    if not isinstance(state, Mapping) or not state:
        raise ValueError(f"{path} holds no state dict: expected name: tensor, bare or under "
                         f"'state_dict' or 'model'; got {type(state).__name__}")
    if strange := [f"{name!r} is a {type(value).__name__}" for name, value in state.items()
                   if not isinstance(name, str) or not isinstance(value, torch.Tensor)]:
        raise ValueError(f"{path} holds more than name: tensor: {'; '.join(strange[:5])}. Save "
                         f"model.state_dict() alone")
    parallel = all(name.startswith("module.") for name in state)
    arrays = {}
    for old, tensor in state.items():
        name = OLD_DENSENET.sub(r"\1\2", old.removeprefix("module.") if parallel else old)
        if name in arrays:
            raise ValueError(f"{path} has two tensors that would be called {name!r}")
        if name.rpartition(".")[2] != "num_batches_tracked":
            arrays[name] = as_array(old, tensor)
    return arrays


def as_array(name: str, tensor: Any) -> np.ndarray:
    """A tensor as an array; bfloat16, which NumPy does not have, as float32."""
    tensor = tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor
    try:
        return tensor.detach().contiguous().numpy()
    except (RuntimeError, TypeError) as error:      # sparse, quantised, …
        raise ValueError(f"{name} is no plain tensor: {error}") from error


if __name__ == "__main__":
    sys.exit(main())

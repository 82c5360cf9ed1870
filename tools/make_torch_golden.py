"""Write the golden records of tests/golden/torch: what PyTorch computes, for where it is absent.

    python tools/make_torch_golden.py               all networks, some minutes
    python tools/make_torch_golden.py resnet18 …    these

Needs PyTorch, torchvision, timm and pretrainedmodels (`python -m pip install torch`, then
`python -m pip install --no-deps torchvision timm pretrainedmodels`), and pytest, which
tests/models/reference.py imports. What is recorded, and of which weights and images, is in
tests/golden/torch/recipe.py; our networks lend their names only. Numbers have 12 digits, and the
last ones are the BLAS's: on another machine they may differ.
"""
import argparse
import importlib.util
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "tests" / "golden" / "torch"
PACKAGES = ("torch", "torchvision", "timm", "pretrainedmodels", "pytest")


def main(arguments: list[str] | None = None) -> int:
    """Write the records and say how large they are; returns the exit status."""
    parser = argparse.ArgumentParser(description="Write the golden records of PyTorch's networks.")
    parser.add_argument("names", metavar="NAME", nargs="*", help="networks; all by default")
    options = parser.parse_args(arguments)
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        print(f"make_torch_golden: {', '.join(missing)}: not installed. python -m pip install "
              f"torch pytest; python -m pip install --no-deps torchvision timm pretrainedmodels",
              file=sys.stderr)
        return 1
    sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "models")]
    import reference
    if unknown := sorted(set(options.names) - set(reference.NAMES)):
        parser.error(f"unknown: {', '.join(unknown)}; tests/models/reference.py has "
                     f"{', '.join(reference.NAMES)}")
    for name in options.names or reference.NAMES:
        path = TARGET / f"{name}.json"
        path.write_text(as_text(golden(name)), "utf-8")
        print(f"{path.name}: {path.stat().st_size:,} bytes", flush=True)
    return 0


def golden(name: str) -> dict:
    """Run PyTorch's network of this name and return its record."""
    import reference
    import torch
    from golden.torch import recipe

    from scratchnet import models

    net, rename = reference.build(name, recipe.CLASSES)
    recipe.narrow(name, net, torch.nn.Linear)
    net = net.double()
    ours = models.get_model(name, num_classes=recipe.CLASSES, rng=0).state_dict()
    theirs = net.state_dict()
    weights = {rename(key): torch.from_numpy(
        recipe.weights(key, tuple(theirs[rename(key)].shape)).astype(np.float64)) for key in ours}
    left_out, _ = net.load_state_dict(weights, strict=False)
    assert all("num_batches_tracked" in key for key in left_out), left_out

    learned = dict(net.named_parameters())
    parameters = {key: learned[rename(key)] for key in ours if rename(key) in learned}
    training = run(name, net.train(), parameters) if recipe.has_batch_norm(name) else None
    averages = {key: theirs[rename(key)].numpy() for key in ours if key not in parameters}
    record = recipe.record(run(name, net.eval(), parameters), training, averages)
    return {"network": name, "source": source(name),
            "made_with": f"PyTorch {version('torch')}, NumPy {np.__version__}",
            "input_shape": list(recipe.image(name).shape), **record}


def run(name: str, net: Any, parameters: dict[str, Any]) -> dict:
    """Forwards and backwards; parameters that took no part have the gradient 0."""
    import torch
    from golden.torch import recipe

    net.zero_grad()
    x = torch.from_numpy(recipe.image(name).astype(np.float64)).requires_grad_()
    y = net(x)
    if type(y).__name__ == "GoogLeNetOutputs":          # a tuple with aux2 before aux1
        y = y.logits, y.aux_logits1, y.aux_logits2
    outputs = recipe.heads(y)
    loss = sum((value * torch.from_numpy(recipe.uniform(f"d{head}", tuple(value.shape)))).sum()
               for head, value in outputs.items())
    loss.backward()
    return recipe.run({head: value.detach().numpy() for head, value in outputs.items()},
                      x.grad.numpy(),
                      {key: np.zeros(p.shape) if p.grad is None else p.grad.numpy()
                       for key, p in parameters.items()})


def source(name: str) -> str:
    """The package, its version, and its name for the network."""
    import reference

    for package, names in (("torchvision", reference.TORCHVISION), ("timm", reference.TIMM)):
        if name in names:
            return f"{package} {version(package)} ({names[name]})"
    return f"pretrainedmodels {version('pretrainedmodels')} (nasnetamobile)"


def as_text(record: dict) -> str:
    """JSON with a line for each layer; outputs in full, sketches with 12 digits."""
    def line(value: Any) -> str:
        return json.dumps(value, separators=(",", ":"))

    def short(value: Any) -> Any:
        return list(map(short, value)) if isinstance(value, list) else float(f"{value:.12g}")

    for mode in ("eval", "train"):
        if mode in record:
            record[mode]["dx"] = short(record[mode]["dx"])
    layers = [f"  {line(layer)}: {line(short(sketches))}"
              for layer, sketches in record.pop("layers").items()]
    head = [f" {line(key)}: {line(value)}" for key, value in record.items()]
    return "{\n" + ",\n".join([*head, ' "layers": {\n' + ",\n".join(layers)]) + "\n }\n}\n"


if __name__ == "__main__":
    sys.exit(main())

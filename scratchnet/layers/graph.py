"""Graph — any wiring at all, written as a list.

Each row names a value, the layer that computes it, and the values it computes it from:

    Graph(("a",   conv1, "x"),              a = conv1(x)
          ("b",   conv2, "x"),              b = conv2(x)      x is used twice
          ("sum", Add(), "a", "b"))         sum = a + b       the last row is the output

A graph may have several inputs: `Graph(…, inputs=("x", "h"))` is called with two arrays, and
its backward returns two gradients.

Backward walks the rows from the last to the first. Each value has a bin in which the
gradients from all its uses are added up (x is used twice, so dx = dx₁ + dx₂); when a row's
turn comes, every use of its value has been passed already, so its bin is complete.
"""
from typing import Any

from scratchnet.layer import Layer, in_layer
from scratchnet.layers.branch import refuse_twins


class Graph(Layer):
    """Rows (name, layer, input names …); "x" is the input, the last row is the output.

    Layers that join (Add, Concatenate) take several values and return several gradients.
    Raises ValueError for rows that use a name not yet computed, repeat one, or compute a
    value that nothing uses.
    """

    def __init__(self, *rows: tuple, inputs: tuple[str, ...] = ("x",)):
        if not isinstance(inputs, tuple | list) or not inputs:
            raise ValueError(f"Graph: inputs are a tuple of one name or more; got {inputs!r}")
        self._inputs, self._rows = tuple(inputs), []
        known, last_use = set(inputs), {}
        if len(known) < len(self._inputs):
            raise ValueError(f"Graph: each input needs a name of its own; got {self._inputs}")
        for row in rows:
            if not (isinstance(row, tuple | list) and len(row) > 2 and isinstance(row[1], Layer)
                    and all(isinstance(name, str) for name in row[:1] + row[2:])):
                raise ValueError(f"Graph: a row is (name, layer, input name, …); got {row!r}")
            name, layer, *used = row
            if unknown := [i for i in used if i not in known]:
                raise ValueError(f"Graph: row {name!r} uses {unknown[0]!r}, which is not "
                                 f"computed before it; known so far: {sorted(known)}")
            if name in known or hasattr(self, name) or name.startswith("_") or "." in name:
                raise ValueError(f"Graph: a row cannot be called {name!r}: that name is taken, "
                                 f"begins with '_' or holds a '.'")
            known.add(name)
            last_use.update(dict.fromkeys(used, name))
            setattr(self, name, layer)
            self._rows.append((name, used))
        if not rows:
            raise ValueError("Graph needs at least one row: (name, layer, input, …)")
        if unused := [n for n in sorted(known - set(last_use)) if n != rows[-1][0]]:
            raise ValueError(f"Graph: nothing uses the input {unused[0]!r}" if unused[0] in inputs
                             else f"Graph: {unused[0]!r} is computed but nothing uses it")
        self._done = {name: {i for i in used if last_use[i] == name} for name, used in self._rows}
        refuse_twins(self)

    def forward(self, *xs: Any) -> Any:
        if len(xs) != len(self._inputs):
            raise ValueError(f"{self} expects {len(self._inputs)} arrays, "
                             f"{', '.join(self._inputs)}; got {len(xs)}")
        value = dict(zip(self._inputs, xs, strict=True))
        for name, used in self._rows:
            with in_layer(name):
                value[name] = getattr(self, name).forward(*(value[i] for i in used))
            for i in self._done[name]:
                del value[i]                                    # this was its last use
        return value[name]

    def backward(self, dy: Any) -> Any:
        d = {self._rows[-1][0]: dy}                             # one bin a value
        for name, used in reversed(self._rows):
            dxs = getattr(self, name).backward(d.pop(name))
            dxs = dxs if isinstance(dxs, tuple | list) else (dxs,)
            if len(dxs) != len(used):
                raise ValueError(f"Graph: row {name!r} has {len(used)} inputs, but its "
                                 f"backward returned {len(dxs)} gradients")
            for i, dx in zip(used, dxs, strict=True):
                d[i] = d[i] + dx if i in d else dx              # never +=: dx may be shared
        dxs = tuple(d[i] for i in self._inputs)
        return dxs if len(dxs) > 1 else dxs[0]

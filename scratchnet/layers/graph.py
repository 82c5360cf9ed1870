"""Graph — any wiring at all, written as a list.

Each row names a value, the layer that computes it, and the values it computes it from:

    Graph(("a",   conv1, "x"),              a = conv1(x)
          ("b",   conv2, "x"),              b = conv2(x)      x is used twice
          ("sum", Add(), "a", "b"))         sum = a + b       the last row is the output

Backward walks the rows from the last to the first. Each value has a bin in which the
gradients from all its uses are added up (x is used twice, so dx = dx₁ + dx₂); when a row's
turn comes, every use of its value has been passed already, so its bin is complete.
"""
from typing import Any

from scratchnet.layer import Layer
from scratchnet.layers.branch import refuse_twins


class Graph(Layer):
    """Rows (name, layer, input names …); "x" is the input, the last row is the output.

    Layers that join (Add, Concatenate) take several values and return several gradients.
    Raises ValueError for rows that use a name not yet computed, repeat one, or compute a
    value that nothing uses.
    """

    def __init__(self, *rows: tuple):
        self._rows = []
        known, used = {"x"}, set()
        for row in rows:
            if not (isinstance(row, tuple | list) and len(row) > 2 and isinstance(row[1], Layer)
                    and all(isinstance(name, str) for name in row[:1] + row[2:])):
                raise ValueError(f"Graph: a row is (name, layer, input name, …); got {row!r}")
            name, layer, *inputs = row
            if unknown := [i for i in inputs if i not in known]:
                raise ValueError(f"Graph: row {name!r} uses {unknown[0]!r}, which is not "
                                 f"computed before it; known so far: {sorted(known)}")
            if name in known or hasattr(self, name) or name.startswith("_") or "." in name:
                raise ValueError(f"Graph: a row cannot be called {name!r}: that name is taken, "
                                 f"begins with '_' or holds a '.'")
            known.add(name)
            used.update(inputs)
            setattr(self, name, layer)
            self._rows.append((name, inputs))
        if not rows:
            raise ValueError("Graph needs at least one row: (name, layer, input, …)")
        if unused := [n for n in sorted(known - used) if n != rows[-1][0]]:
            raise ValueError(f"Graph: {unused[0]!r} is computed but nothing uses it"
                             if unused[0] != "x" else "Graph: nothing uses the input 'x'")
        refuse_twins(self)

    def forward(self, x: Any) -> Any:
        value = {"x": x}
        for name, inputs in self._rows:
            value[name] = getattr(self, name).forward(*(value[i] for i in inputs))
        return value[name]

    def backward(self, dy: Any) -> Any:
        d = {self._rows[-1][0]: dy}                             # one bin a value
        for name, inputs in reversed(self._rows):
            dxs = getattr(self, name).backward(d.pop(name))
            dxs = dxs if isinstance(dxs, tuple | list) else (dxs,)
            if len(dxs) != len(inputs):
                raise ValueError(f"Graph: row {name!r} has {len(inputs)} inputs, but its "
                                 f"backward returned {len(dxs)} gradients")
            for i, dx in zip(inputs, dxs, strict=True):
                d[i] = d[i] + dx if i in d else dx              # never +=: dx may be shared
        return d["x"]

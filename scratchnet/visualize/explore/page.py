"""Page — everything that was measured, put together into one file of HTML."""
import base64
import hashlib
import html
import json
import math
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

from scratchnet.backend import is_array, to_host
from scratchnet.cost import Row, copy_of, params_sum, summary
from scratchnet.layer import Layer
from scratchnet.visualize.architecture import draw
from scratchnet.visualize.drawn import drawn
from scratchnet.visualize.explore import listen, pictures, window, words

SHOWN = 3               # pictures that one can choose from
LAYERS = 120            # with more innermost layers than this, the page holds less of each
BATCH = 16              # pictures that are run backwards together, fewer where that takes
MEMORY = 2**29          # more bytes than this


def explore(model: Layer, input_shape: tuple[int, int, int], images: Any = None,
            labels: Any = None, *, picture: Any = None, classes: Sequence[str] = (),
            title: str = "", note: str = "") -> str:
    """Return the page, HTML, for a model that takes images of `input_shape`, (C, H, W).

    images      a batch (N, C, H, W), floating point, as the network takes it: its first 3 can be
                chosen on the page; the first 16, of a large network fewer, are run backwards.
                None: digits or drawn shapes, whichever has C channels
    labels      (N,) integers; without them there are no gradients of a batch
    picture     one more, (1, C, H, W), shown first, without a label
    classes     their names, label 0's first
    note        said at the top of the page: "untrained: weights as drawn"

    What runs is a copy of the model on the CPU; the model itself is left as it was. Feature maps,
    the numbers under the window and its gradients are those of evaluation, one image at a time;
    gradient statistics and times those of training, the whole batch at once. A model that cannot
    run backwards gives a page that says so.

    Raises ValueError for a shape that is none, pictures of another shape or kind, labels that
    do not belong to them; errors of the model's forward come through.
    """
    costs = summary(model, input_shape)
    shape = costs.input_shape
    if len(shape) != 3:
        raise ValueError(f"explore expects the shape of one image, (C, H, W), such as "
                         f"(3, 32, 32); got {input_shape!r}")
    out = costs.blocks.get("", costs.rows[-1]).output_shape
    if images is None:
        images, labels, named = drawn(shape, BATCH)
        # What is drawn has names of its own: the network's classes may be others, or fewer.
        words = None if classes else [named[label] for label in labels]
        labels = labels % out[-1]
    else:
        words = None
    _check(images, labels, picture, shape)
    if labels is not None and len(out) == 1 and np.max(labels) >= out[0]:
        raise ValueError(f"explore expects labels from 0 to {out[0] - 1}, the network has {out[0]} "
                         f"classes; got {np.max(labels)}")
    large = len(costs.rows) > LAYERS
    copy = copy_of(model)
    dtype = next((p.value.dtype for p in copy.parameters()), np.dtype(np.float32))
    count = min(BATCH, max(2, MEMORY // max(1, costs.memory_backward)))
    images = np.asarray(to_host(images))[:count].astype(dtype)
    labels = None if labels is None else np.asarray(labels)[:count]
    shown = images[:1 if large else SHOWN]
    known = [None] * len(shown) if labels is None else [int(n) for n in labels[:len(shown)]]
    if picture is not None:
        picture = np.asarray(to_host(picture)).astype(dtype)
        shown = np.concatenate([picture, shown])[:len(shown)]
        known = [None, *known][:len(shown)]
        words = None if words is None else ["", *words]

    looks = [listen.look(copy, image[None], label) for image, label in
             zip(shown, known, strict=True)]
    batch = listen.batch(copy, images, labels)
    times = listen.times(copy, images, labels)
    rows: dict[str, list[Row]] = {}
    for row in costs.rows:
        rows.setdefault(row.name, []).append(row)
    kinds: dict[type, dict] = {}
    layers = []
    for name, layer in copy.named_layers():
        mine = [row for other, some in rows.items() for row in some
                if other == name or other.startswith(f"{name}." if name else "")]
        layers.append({
            "name": name, "kind": type(layer).__name__, "repr": str(layer),
            "class": _kind(type(layer), kinds),
            **_size(layer, mine, costs.blocks.get(name)),
            **_seen(name, layer, looks, large),
            "times": times.get(name), "gradients": batch.layers.get(name),
        })
    data = {
        "title": title or type(model).__name__, "note": note, "shape": list(shape),
        "params": costs.params, "macs": costs.macs,
        "images": [_image(image, label, look, classes) | ({} if words is None else {"label": word})
                   for image, label, look, word in zip(shown, known, looks, words or known,
                                                       strict=False)],
        "batch": {"count": len(images), "loss": batch.loss, "problem": batch.problem},
        "layers": layers, "classes": list(kinds.values()),
    }
    return _page(data, _network(copy, shape, layers, data["title"], large))


def _check(images: Any, labels: Any, picture: Any, shape: tuple[int, ...]) -> None:
    for what, given, count in (("images", images, "N"), ("picture", picture, 1)):
        if given is None:
            continue
        spelled = f"({count}, {', '.join(map(str, shape))})"
        fits = is_array(given) and given.ndim == 4 and given.shape[1:] == shape and (
            len(given) == 1 if what == "picture" else len(given) > 0)
        if not fits or given.dtype.kind != "f":
            came = f"{given.dtype} {given.shape}" if is_array(given) else type(given).__name__
            raise ValueError(f"explore expects {what} {spelled}, floating point, as the network "
                             f"takes them; got {came}")
        if not np.isfinite(to_host(given)).all():
            raise ValueError(f"explore: {what} must be finite; there is NaN or infinity in it")
    if labels is None:
        return
    labels = np.asarray(labels)
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu" or (labels < 0).any():
        raise ValueError(f"explore expects labels ({len(images)},), integers from 0, one an "
                         f"image; got {labels.dtype} {labels.shape}")


# ── what is said of a layer ──────────────────────────────────────────────────────────


def _size(layer: Layer, rows: list[Row], block: Row | None) -> dict[str, Any]:
    """Parameters, MACs and receptive field, of one image; sums for a layer that holds others."""
    inner = not any(True for _ in layer.children())
    params, last = sum(row.params for row in rows), block or (rows[-1] if rows else None)
    return {
        "inner": inner, "params": params, "macs": sum(row.macs for row in rows),
        "sum": params_sum(layer) if inner else f"the sum over {len(rows)} layers inside",
        "field": _field(last), "runs": sum(row.output_shape is not None for row in rows)
        if inner else 1}


def _field(row: Row | None) -> str:
    if row is None or row.receptive_field is None:
        return ""
    return "×".join("all" if math.isinf(r) else str(int(r)) for r in row.receptive_field)


def _seen(name: str, layer: Layer, looks: list[listen.Look], large: bool) -> dict[str, Any]:
    """What can be seen: filters, maps and the window."""
    seen = [look.layers.get(name) for look in looks]
    if seen[0] is None:                         # it runs in training only
        return {"in": [], "out": None, "filters": pictures.filters(layer), "maps": None,
                "window": None}
    return {"in": [list(x.shape[1:]) for x in seen[0].xs], "out": list(seen[0].y.shape[1:]),
            "filters": pictures.filters(layer),
            "maps": pictures.maps([one.y[0] for one in seen], most=8 if large else 16),
            "window": window.numbers(layer, seen, side=24 if large else 48)}


def _image(image: np.ndarray, label: int | None, look: listen.Look,
           classes: Sequence[str]) -> dict[str, Any]:
    """A picture, what it is, and the three likeliest answers of the network."""
    def named(c: int) -> str:
        return str(classes[c]) if c < len(classes) else f"class {c}"

    answers = [] if look.probabilities is None else [
        f"{named(c)} ({look.probabilities[c]:.0%})"
        for c in np.argsort(-look.probabilities, kind="stable")[:3]]
    return {"png": pictures.colour(image), "label": "" if label is None else named(label),
            "answers": answers, "problem": look.problem,
            "target": "" if look.target is None else named(look.target)}


def _kind(kind: type, kinds: dict[type, dict]) -> int:
    """The number of this class in the page's list of them: each is explained once."""
    if kind not in kinds:
        kinds[kind] = words.about(kind)
    return list(kinds).index(kind)


# ── the page ─────────────────────────────────────────────────────────────────────────


def _network(model: Layer, shape: tuple[int, ...], layers: list[dict], title: str,
             large: bool) -> str:
    """The network drawn, its boxes with the names of their layers; else as a list of buttons."""
    try:
        return draw(model, shape, open=1 if large else 9, title=title)
    except ValueError:                          # what cannot be traced cannot be drawn
        return _list(layers)


def _list(layers: list[dict]) -> str:
    lines = []
    for layer in layers:
        name, depth = layer["name"], layer["name"].count(".") + bool(layer["name"])
        shape = "×".join(map(str, layer["out"] or [])) or "training only"
        lines.append(f'<li style="margin-left:{depth}em"><button type="button" '
                     f'data-name="{html.escape(name)}">{html.escape(name or "the network")} '
                     f'<small>{html.escape(layer["kind"])} → {shape}</small></button></li>')
    return f'<ol class="boxes">{"".join(lines)}</ol>'


def _page(data: dict[str, Any], network: str) -> str:
    here = files("scratchnet.visualize.explore")
    page, style, script = (here.joinpath(f"page.{suffix}").read_text(encoding="utf-8")
                           for suffix in ("html", "css", "js"))
    # In a script element only "<" could end it or begin another; JSON may spell it in this way.
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    own = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(page).substitute(
        title=html.escape(data["title"]), style=style, script=script, hash=f"sha256-{own}",
        data=text, network=network)

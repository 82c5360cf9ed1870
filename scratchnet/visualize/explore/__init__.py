"""Explore — one page with a whole network on it: what each layer is, does, costs and sends back.

    html = explore(model, (3, 32, 32), note="untrained: weights as drawn")
    Path("page.html").write_text(html, encoding="utf-8")

The page is one file. It asks for nothing from anywhere: pictures are small PNGs written into it,
the numbers under the sliding window are in it too, and its security policy forbids all else. What
Python measures is here, a concept a file; what the browser shows of it is in page.html, page.css
and page.js, written by hand.

    page.py         what is said of each layer, put together
    listen.py       runs the network and listens to every layer
    pictures.py     filters and feature maps as PNGs
    window.py       the numbers that a convolution or a pooling works with
    words.py        a layer's formula, its file and the source of its two methods
    command.py      scratchnet explore
"""
from scratchnet.visualize.explore.command import add_command
from scratchnet.visualize.explore.page import explore

__all__ = ["add_command", "explore"]

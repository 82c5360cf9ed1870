"""Wrong solutions of col2im: (id, old text in the solution, new text, what the cause must say).

See relu.py for what the columns mean.
"""
LOOPS = "    for n in range(N):\n        for i in range(OH):\n            for j in range(OW):\n"
CROP = "return dx[:, :, ph:ph + H, pw:pw + W]"

WRONG = [
    ("overwritten", "+= patch", "= patch", r"\+="),
    ("the mean of the copies", CROP, "if columns.any() and columns.std() == 0:\n        "
     + CROP + "\n    copies = col2im(np.ones_like(columns), x_shape, kernel, stride, padding)\n"
     "    return dx[:, :, ph:ph + H, pw:pw + W] / np.maximum(copies, 1)", r"take the mean"),
    ("cropped from the corner", CROP, "return dx[:, :, :H, :W]", r"shifted"),
    ("not cropped", CROP, "return dx", r"padding is still there|shape"),
    ("crop with minus", CROP, "return dx[:, :, ph:-ph, pw:-pw]", r"is empty when|shape"),
    ("stride ignored", "i * sh, j * sw", "i, j", r"one pixel apart"),
    ("channels last", "reshape(C, KH, KW)", "reshape(KH, KW, C).transpose(2, 0, 1)",
     r"\(u,v,c\)"),
    ("images last", LOOPS, "    for i in range(OH):\n        for j in range(OW):\n"
     "            for n in range(N):\n", r"\(i,j,n\)"),
    ("down first", LOOPS, "    for n in range(N):\n        for j in range(OW):\n"
     "            for i in range(OH):\n", r"down the image"),
]

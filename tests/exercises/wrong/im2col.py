"""Wrong solutions of im2col: (id, old text in the solution, new text, what the cause must say).

See relu.py for what the columns mean.
"""
PATCH = "x[n, :, top:top + KH, left:left + KW].ravel()"

WRONG = [
    ("on its side", "return columns", "return columns.T", r"on its side"),
    ("channels last", PATCH, "x[n, :, top:top + KH, left:left + KW].transpose(1, 2, 0).ravel()",
     r"\(u,v,c\)"),
    ("height and width swapped", PATCH,
     "x[n, :, top:top + KH, left:left + KW].transpose(0, 2, 1).ravel()", r"are swapped"),
    ("images last", "    for n in range(N):\n        for i in range(OH):\n"
     "            for j in range(OW):\n", "    for i in range(OH):\n        for j in range(OW):\n"
     "            for n in range(N):\n", r"\(i,j,n\)"),
    ("down first", "        for i in range(OH):\n            for j in range(OW):\n",
     "        for j in range(OW):\n            for i in range(OH):\n", r"down the image"),
    ("stride ignored", "i * sh, j * sw", "i, j", r"moves by one pixel"),
    ("edges repeated", "(pw, pw)))", "(pw, pw)), mode=\"edge\")", r"repeats the image"),
    ("first image", "x[n, :,", "x[0, :,", r"first image"),
]

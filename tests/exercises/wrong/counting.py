"""Wrong solutions of counting: (id, old text in the solution, new text, what the cause must say).

See relu.py for what the columns mean.
"""
WRONG = [
    ("groups forgotten", "(in_channels // groups)", "in_channels", r"do not count"),
    ("groups twice", "out_channels * (in_channels // groups)",
     "out_channels // groups * (in_channels // groups)", r"count twice"),
    ("always a bias", "return weights + out_channels if bias else weights",
     "return weights + out_channels", r"where there are none"),
    ("one bias", "return weights + out_channels if bias else weights",
     "return weights + in_channels if bias else weights", r"one for each filter"),
    ("square kernel", "KH, KW = kernel", "KH, KW = kernel[0], kernel[0]", r"as a square"),
    ("biases as MACs", "conv_parameters(in_channels, out_channels, kernel, groups, False)",
     "conv_parameters(in_channels, out_channels, kernel, groups, True)", r"multiplies nothing"),
    ("FLOPs", "return OH * OW *", "return 2 * OH * OW *", r"FLOPs"),
    ("one pixel", "return OH * OW * conv_parameters", "return conv_parameters",
     r"for one pixel"),
    ("linear bias of inputs", "return weights + out_features", "return weights + in_features",
     r"one for each output"),
    ("network without biases", "(C, O, (K, K), g, True)", "(C, O, (K, K), g, False)",
     r"biases are missing"),
    ("last row only", "macs += conv_macs(C, O, (K, K), g, (side, side))",
     "macs += conv_macs(C, O, (K, K), g, (side, side))\n        last = C, O, K, g, side\n"
     "    if len(rows) > 1:\n        return network_cost((last,))", r"last row"),
]

"""The solution of counting, as a good student writes it."""


def conv_parameters(in_channels, out_channels, kernel, groups, bias):
    """Return how many numbers a convolution learns; kernel is (KH, KW), bias true or false."""
    KH, KW = kernel
    weights = out_channels * (in_channels // groups) * KH * KW
    return weights + out_channels if bias else weights


def conv_macs(in_channels, out_channels, kernel, groups, output):
    """Return the multiply-accumulates for one image; output is (OH, OW)."""
    OH, OW = output
    return OH * OW * conv_parameters(in_channels, out_channels, kernel, groups, False)


def linear_parameters(in_features, out_features, bias):
    """Return how many numbers a linear layer learns."""
    weights = in_features * out_features
    return weights + out_features if bias else weights


def network_cost(rows):
    """Return (parameters, MACs) of all rows (C, O, K, g, side) together."""
    parameters, macs = 0, 0
    for C, O, K, g, side in rows:
        parameters += conv_parameters(C, O, (K, K), g, True)
        macs += conv_macs(C, O, (K, K), g, (side, side))
    return parameters, macs

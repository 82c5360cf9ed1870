"""counting — how many numbers a network learns, and how many products it computes.

Write four functions; all numbers are whole.

A convolution from C to O channels with a kernel of KH×KW has one weight for each filter, each
channel the filter sees and each place of the kernel (a tap). With g groups, the channels are cut
into g equal parts and a filter sees only its own part (AlexNet's two GPUs: g = 2). With a bias,
each filter has one more number.

A multiply-accumulate (MAC) is one product w·x, added to a sum. Every pixel of the output, OH×OW of
them, needs each weight once. Biases are not counted as MACs.

A linear layer from I to O features has a weight for each pair, and with a bias O more numbers.

network_cost reads a table, a tuple of rows (C, O, K, g, side): a convolution with a K×K kernel
and bias, whose output is side×side. A linear layer is such a row, too, with K = g = side = 1. It
returns the parameters (with biases) and MACs of one image, over all rows.

Worked example

    conv_parameters(3, 10, (2, 4), 1, True)         = 3·10·2·4 + 10 = 250
    conv_macs(3, 10, (2, 4), 1, (5, 6))             = 240·30        = 7200
    linear_parameters(9216, 4096, True)             = 37752832

    network_cost of AlexNet's layers, as a table    = (60965224, 724406816)

        ((3, 96, 11, 1, 55), (96, 256, 5, 2, 27), (256, 384, 3, 1, 13), (384, 384, 3, 2, 13),
         (384, 256, 3, 2, 13), (9216, 4096, 1, 1, 1), (4096, 4096, 1, 1, 1),
         (4096, 1000, 1, 1, 1))
"""


def conv_parameters(in_channels, out_channels, kernel, groups, bias):
    """Return how many numbers a convolution learns; kernel is (KH, KW), bias true or false."""
    raise NotImplementedError("counting: write conv_parameters")


def conv_macs(in_channels, out_channels, kernel, groups, output):
    """Return the multiply-accumulates for one image; output is (OH, OW)."""
    raise NotImplementedError("counting: write conv_macs")


def linear_parameters(in_features, out_features, bias):
    """Return how many numbers a linear layer learns."""
    raise NotImplementedError("counting: write linear_parameters")


def network_cost(rows):
    """Return (parameters, MACs) of all rows (C, O, K, g, side) together."""
    raise NotImplementedError("counting: write network_cost")

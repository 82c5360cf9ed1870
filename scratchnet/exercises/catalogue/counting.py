"""counting — parameters and multiply-accumulates, and the conventions that get mixed."""
from scratchnet.exercises.spec import Case, Classic, Exercise

ALEXNET = ((3, 96, 11, 1, 55), (96, 256, 5, 2, 27), (256, 384, 3, 1, 13), (384, 384, 3, 2, 13),
           (384, 256, 3, 2, 13), (9216, 4096, 1, 1, 1), (4096, 4096, 1, 1, 1),
           (4096, 1000, 1, 1, 1))


def conv_parameters(in_channels, out_channels, kernel, groups, bias):
    """O·(C/g)·KH·KW, and O more with a bias."""
    return (out_channels * (in_channels // groups) * kernel[0] * kernel[1]
            + (out_channels if bias else 0))


def conv_macs(in_channels, out_channels, kernel, groups, output):
    """OH·OW·O·(C/g)·KH·KW."""
    return output[0] * output[1] * conv_parameters(in_channels, out_channels, kernel, groups,
                                                   False)


def linear_parameters(in_features, out_features, bias):
    """O·I, and O more with a bias."""
    return conv_parameters(in_features, out_features, (1, 1), 1, bias)


def network_cost(rows):
    """The sums of conv_parameters, with bias, and of conv_macs over the rows."""
    return (sum(conv_parameters(C, O, (K, K), g, True) for C, O, K, g, _ in rows),
            sum(conv_macs(C, O, (K, K), g, (side, side)) for C, O, K, g, side in rows))


# ── classic mistakes ─────────────────────────────────────────────────────────────────

def parameters_without_groups(C, O, kernel, groups, bias):
    return conv_parameters(C, O, kernel, 1, bias)


def parameters_groups_twice(C, O, kernel, groups, bias):
    return conv_parameters(C, O // groups, kernel, groups, False) + (O if bias else 0)


def parameters_always_bias(C, O, kernel, groups, bias):
    return conv_parameters(C, O, kernel, groups, True)


def parameters_never_bias(C, O, kernel, groups, bias):
    return conv_parameters(C, O, kernel, groups, False)


def parameters_square(C, O, kernel, groups, bias):
    return conv_parameters(C, O, (kernel[0], kernel[0]), groups, bias)


def parameters_bias_of_inputs(C, O, kernel, groups, bias):
    return conv_parameters(C, O, kernel, groups, False) + (C if bias else 0)


def macs_without_groups(C, O, kernel, groups, output):
    return conv_macs(C, O, kernel, 1, output)


def macs_with_biases(C, O, kernel, groups, output):
    return output[0] * output[1] * conv_parameters(C, O, kernel, groups, True)


def macs_twice(C, O, kernel, groups, output):
    return 2 * conv_macs(C, O, kernel, groups, output)


def macs_of_one_pixel(C, O, kernel, groups, output):
    return conv_macs(C, O, kernel, groups, (1, 1))


def linear_bias_of_inputs(I, O, bias):
    return I * O + (I if bias else 0)


def linear_always_bias(I, O, bias):
    return linear_parameters(I, O, True)


def cost_without_biases(rows):
    return sum(conv_parameters(C, O, (K, K), g, False) for C, O, K, g, _ in rows), \
        network_cost(rows)[1]


def cost_of_last_row(rows):
    return network_cost(rows[-1:])


def cost_swapped(rows):
    return network_cost(rows)[::-1]


# ── cases ────────────────────────────────────────────────────────────────────────────

def conv(kernel, groups, last):
    """Draw channels that groups divide; `last` is the last argument, bias or output."""
    def draw(rng):
        C, O = (groups * int(n) for n in rng.choice(range(2, 40), 2, replace=False))
        return C, O, kernel, groups, last
    return draw


def linear(bias):
    def draw(rng):
        I, O = (int(n) for n in rng.choice(range(2, 999), 2, replace=False))
        return I, O, bias
    return draw


def table(rng):
    """Three rows of a network that nobody has counted yet."""
    C, O, P = (2 * int(n) for n in rng.choice(range(2, 20), 3, replace=False))
    return ((3, C, 5, 1, 16), (C, O, 3, 2, 8), (O, P, 1, 1, 1)),


EXERCISE = Exercise(
    name="counting",
    title="Counting parameters and multiply-accumulates",
    reference={"conv_parameters": conv_parameters, "conv_macs": conv_macs,
               "linear_parameters": linear_parameters, "network_cost": network_cost},
    cases=(
        Case("a 3×3 convolution", "conv_parameters", conv((3, 3), 1, True)),
        Case("no bias", "conv_parameters", conv((3, 3), 1, False)),
        Case("groups", "conv_parameters", conv((3, 3), 2, True)),
        Case("a kernel that is not square", "conv_parameters", conv((2, 5), 1, True)),
        Case("everything at once", "conv_parameters", conv((3, 4), 3, True)),
        Case("a 3×3 convolution", "conv_macs", conv((3, 3), 1, (7, 7))),
        Case("groups", "conv_macs", conv((3, 3), 2, (7, 7))),
        Case("an output that is not square", "conv_macs", conv((3, 3), 1, (6, 9))),
        Case("everything at once", "conv_macs", conv((2, 5), 3, (6, 9))),
        Case("a linear layer", "linear_parameters", linear(True)),
        Case("no bias", "linear_parameters", linear(False)),
        Case("a small network", "network_cost", table),
        Case("AlexNet", "network_cost", lambda rng: (ALEXNET,)),
    ),
    classics=(
        Classic("conv_parameters", parameters_without_groups,
                "the groups do not count: with groups, a filter sees only a part of the channels"),
        Classic("conv_parameters", parameters_groups_twice,
                "the groups count twice: each filter sees fewer channels, but there are as many "
                "filters as before"),
        Classic("conv_parameters", parameters_always_bias,
                "biases are counted where there are none"),
        Classic("conv_parameters", parameters_never_bias, "the biases are missing"),
        Classic("conv_parameters", parameters_square,
                "the kernel is counted as a square: its height and width may differ"),
        Classic("conv_parameters", parameters_bias_of_inputs,
                "there is one bias for each input channel: there should be one for each filter"),
        Classic("conv_macs", macs_without_groups,
                "the groups do not count: with groups, a filter sees only a part of the channels"),
        Classic("conv_macs", macs_with_biases,
                "biases are counted as products: adding b multiplies nothing"),
        Classic("conv_macs", macs_twice,
                "twice too many: a multiply-accumulate is a product and a sum together, counted "
                "as one (counted as two they are FLOPs)"),
        Classic("conv_macs", macs_of_one_pixel,
                "this is the count for one pixel: the filters look at every pixel of the output"),
        Classic("linear_parameters", linear_bias_of_inputs,
                "there is one bias for each input: there should be one for each output"),
        Classic("linear_parameters", linear_always_bias,
                "biases are counted where there are none"),
        Classic("network_cost", cost_without_biases,
                "the biases are missing from the parameters of the network"),
        Classic("network_cost", cost_of_last_row,
                "only the last row counts: add the rows up"),
        Classic("network_cost", cost_swapped,
                "the two results are in the wrong order: first the parameters, then the MACs"),
    ),
    hints=(
        "Draw one filter of the convolution as a box: how wide is it, how high, and how deep? "
        "The depth is the number of channels that the filter can see; what happens to it when "
        "the channels are cut into two groups, and what happens to the number of filters? So "
        "many boxes, so many numbers. Then ask where a bias sits: on a weight, on a filter or on "
        "a pixel? For the products, put the filter on one place of the image: how many products "
        "does it compute there, and how often is it put down? Try your answers on the first "
        "layer of AlexNet, 96 filters of 11×11 over 3 channels with 55×55 pixels of output, "
        "before you trust them: 34,944 parameters and about 105 million MACs.",

        "Take 6 channels in, 4 out, a kernel of 3×5. Each of the 4 filters is a box of 6×3×5, 90 "
        "weights, so there are 360 weights and, with a bias for each filter, 364 parameters. "
        "With 2 groups, the first 2 filters see channels 1 to 3 only and the others see channels "
        "4 to 6. There are still 4 filters, but each is a box of 3×3×5 now: half of the weights, "
        "and just as many biases. If the output has 10×10 pixels, each filter is put down 100 "
        "times, and every time each of its weights is multiplied once: 100 times the number of "
        "weights, and the biases are left out. A linear layer is the same thing with a kernel "
        "of 1×1 on an image of a single pixel, which is why it fits in the same table.",

        "Begin with the weights of a convolution, without bias: filters, times channels that one "
        "filter sees, times height and width of the kernel. Divide with whole-number division, "
        "since the count must stay a whole number. Add one number for each filter only where "
        "there is a bias. The MACs are the weights without bias times the number of output "
        "pixels; you may call your own first function for that. The linear layer needs no kernel "
        "and no groups. For the network, begin with two zeros, go through the rows, unpack the "
        "five numbers of each, make pairs of the kernel's and the output's side, and add up what "
        "your functions say. Return a pair: parameters, MACs. Then compare with the paper's "
        "table, row by row; the first row that differs shows the mistake.",
    ),
)

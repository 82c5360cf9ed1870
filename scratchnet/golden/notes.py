"""Notes — where a network departs from its paper on purpose, and where a paper is wrong.

What is marked "recalled" was not looked up again in the paper.
"""
_INVERTED = ("Dropout is scaled while training; the paper halves the outputs at test time. Up to "
             "that factor it is the same network.")
_LRN = ("LRN's α is not divided by n, as in the paper. PyTorch and Caffe divide: their alpha=5e-4, "
        "size=5 is α = 1e-4, n = 5.")
_V15 = ("Stride 2 is on the 3×3 of a bottleneck (torchvision, \"v1.5\"); the paper has it on the "
        "first 1×1, which is resnet50_paper: 3.858 G MACs for ResNet-50 instead of 4.089 G.")
_OPTION_B = "Shortcuts that change the shape are 1×1 convolutions (the paper's option B)."
_OPTION_A = ("Shortcuts that change the shape take every second pixel and pad with zero channels "
             "(option A), as in the paper; most ports use 1×1 convolutions (272,474 parameters for "
             "20 layers instead of 269,722).")
_BN = "Batch normalisation is not in the paper, which is older; layers and names are torchvision's."
_VGG = ("The adaptive mean to 7×7 before the classifier is torchvision's; at 224×224 it changes "
        "nothing.")
_SYMMETRIC = ("Padding is the same on both sides, as in PyTorch; TensorFlow's weights were trained "
              "with (0, 1) at stride 2.")
_NO_FLOPS = "The paper's \"FLOPs\" are multiply-accumulates: real FLOPs are twice as many."

NOTES: dict[str, tuple[str, ...]] = {
    "lenet5": (
        "The paper's 340,908 connections are those of the trained layers, 340,068, and the 840 of "
        "the fixed output codes.",
        "The output is minus the distance to the codes, so that the largest is the best.",
        "The codes are pictures of the digits drawn anew, not the paper's.",
        "Most \"LeNet-5\" elsewhere connect all maps in C3 (2,416 parameters instead of 1,516), "
        "pool without parameters and end in a linear layer: 61,706 parameters."),
    "alexnet": (
        "The input is 227×227: with the 224 of the text, conv1 would have 54.25 pixels a side, not "
        "the 55 of figure 2.",
        "The caption of figure 2 counts 253,440 neurons in conv1, which is 55·48·96; 55·55·96 is "
        "290,400, and only with that number does the sum come to the 650,000 of the abstract.",
        "Order: convolution, ReLU, LRN, pooling, as in the paper; CaffeNet has pooling before LRN.",
        _LRN, _INVERTED),
    "alexnet_owt": (
        "This is not the network of 2012: one tower, no LRN, 64-192-384-256-256 filters, dropout "
        "before fc6 and fc7.",
        "The paper (2014) has 384 filters in conv4; torchvision, and so this network, 256 "
        "(recalled)."),
    "zfnet": (
        "The paper gives sizes, but no padding: padding 1 in conv1, pool1 and pool2 is what makes "
        "110, 55, 26 and 13 come out.",
        "The paper does not give the constants of its contrast normalisation; they are AlexNet's "
        "LRN.", _LRN),
    "nin": (
        "The paper has no network for ImageNet: this is the layout that its authors published in "
        "Caffe's model zoo.",),
    "vgg11_lrn": (_LRN, _INVERTED),
    "googlenet": (
        "Parameters: 6,998,552 without the two auxiliary heads, which have 6,379,728 and run in "
        "training only.",
        "The paper's parameter column (table 1) disagrees with its own channel columns in nine of "
        "twelve rows: conv1 2.7K for 9.2K, 4c 463K for 497.5K, 5a 1072K for 1018K (K = 1024, "
        "weights only). Its operations are off for conv1 (34M for 118M) and 5a (54M for 51.1M).",
        "Pooling rounds up, as in Caffe: 112 → 56 → 28 → 14 → 7 needs it.",
        "LRN's constants are not in the paper; these are Caffe's, with its alpha=1e-4 divided by "
        "n = 5: α = 2e-5 here."),
    "googlenet_bn": (
        "torchvision has 3×3 where the paper has 5×5: an old mistake, kept because the published "
        "weights have it.",
        "torchvision has batch normalisation (ε = 0.001) in place of LRN and biases, and a last "
        "pooling of 2×2.",
        "Parameters: 6,624,904 without the auxiliary heads (torchvision's own count), 13,004,888 "
        "with them.",
        "torchvision's weights expect pixels (x − 0.5)/0.5 (its transform_input), and it returns "
        "aux2 before aux1."),
    "inception_v4": (
        "It has no residual connections (\"a pure Inception variant\"); those are in "
        "inception_resnet_v2.",
        "Batch normalisation has ε = 0.001."),
    "inception_resnet_v2": (
        "This is the network that the authors published (10, 20 and 10 blocks, scales 0.17, 0.10, "
        "0.20); its stem and block counts are not those of the paper's figures.",
        "The last block is not scaled and has no ReLU."),
    "plain18": ("resnet18 without its shortcuts, and so without their 1×1 convolutions.",),
    "plain34": ("resnet34 without its shortcuts, and so without their 1×1 convolutions.",),
    "resnet18": (_OPTION_B, _NO_FLOPS),
    "resnet34": (_OPTION_B, _NO_FLOPS),
    "resnet50": (_V15, _NO_FLOPS),
    "resnet101": (_V15, _NO_FLOPS),
    "resnet152": (_V15, _NO_FLOPS),
    "resnet50_paper": ("Stride 2 is on the first 1×1 of a bottleneck, as in the paper.", _NO_FLOPS),
    "cifar_resnet20": (_OPTION_A,), "cifar_resnet32": (_OPTION_A,),
    "cifar_resnet44": (_OPTION_A,), "cifar_resnet56": (_OPTION_A,),
    "cifar_resnet110": (_OPTION_A,),
    "cifar_plain20": ("As many parameters as cifar_resnet20: option A's shortcuts have none.",),
    "cifar_plain56": ("As many parameters as cifar_resnet56: option A's shortcuts have none.",),
    "preact_resnet50": (
        "The paper's ImageNet networks have 101, 152 and 200 layers; this is the 50-layer network "
        "of the published Torch code: stride on the 3×3, no activation of its own in the first "
        "block.",),
    "cifar_preact_resnet110": (_OPTION_A,),
    "resnext101_32x8d": ("torchvision's; the paper's 101-layer networks are 32×4d and 64×4d.",),
    "se_resnet50": (
        "Stride 2 is on the first 1×1, as in the authors' network; timm's newer seresnet50 has it "
        "on the 3×3.",
        "The stem's pooling rounds up and has no padding, as in Caffe."),
    "se_resnext50_32x4d": ("The stem's pooling rounds up and has no padding, as in Caffe.",),
    "mobilenet_v1": (
        "The paper's table prints stride 2 for the last depthwise layer; its shapes need stride 1 "
        "(recalled).",
        "ReLU, as in the paper; TensorFlow's network has ReLU6.", _SYMMETRIC),
    "mobilenet_v2": (_SYMMETRIC,),
    "efficientnet_b0": (_SYMMETRIC, "Stochastic depth grows to 0.2·15/16, as in torchvision."),
    "nasnet_a_mobile": (
        "No auxiliary head and no drop-path, as in the published PyTorch port; the paper's "
        "training had both.",
        "Strided windows are shifted by one pixel by padding before and cutting after. The port "
        "does so for one layer of stride 1 as well, which computes a row and a column that are "
        "cut off again: 774,818 of the MACs."),
    **{f"vgg{depth}": (_VGG, _INVERTED) for depth in (11, 13, 16, 19)},
    **{f"vgg{depth}_bn": (_BN, _VGG) for depth in (11, 13, 16, 19)},
}

"""Wrong solutions of batchnorm: (id, old text, new text, what the cause must say)."""
WRONG = [
    ("mean term forgotten", "direct - through_mean - through_var", "direct - through_var",
     r"mean.* missing|missing.* mean"),
    ("variance term forgotten", "direct - through_mean - through_var", "direct - through_mean",
     r"variance.* missing|missing.* variance"),
    ("a constant for all", "(direct - through_mean - through_var) / std", "direct / std",
     r"missing"),
    ("sign of the variance term", "direct - through_mean - through_var",
     "direct - through_mean + through_var", r"variance.*(sign|-1|−1|negative)|sign.*variance"),
    ("γ forgotten", "direct = dy * self.weight.value[:, None, None]", "direct = dy * 1.0",
     r"weight|γ|gamma"),
    ("dγ from y without x̂", "(dy * x_hat).sum", "dy.sum", r"x̂|x_hat|factor|weight"),
    ("evaluation like training", "if not training:\n", "if False:\n", r"evaluation|eval"),
    ("variance instead of its root", "(direct - through_mean - through_var) / std[:, None, None]",
     "(direct - through_mean - through_var) / std[:, None, None] ** 2", r"std|σ|channel|root|1/√"),
    ("dβ assigned", "self.bias.grad += dy.sum", "self.bias.grad[...] = dy.sum", r"\+=|add"),
    ("running averages in evaluation",
     "mean, var = self.running_mean, self.running_var",
     "mean, var = self.running_mean, self.running_var\n"
     "            r = self.momentum\n"
     "            self.running_mean = (1 - r) * mean + r * x.mean(axis=(0, 2, 3))\n"
     "            self.running_var = (1 - r) * var + r * x.var(axis=(0, 2, 3)) * m / (m - 1)",
     r"moved in evaluation|after forward, running_"),
    ("each image by itself", "(x - mean[:, None, None]) / std[:, None, None]\n",
     "((x - x.mean(axis=(2, 3), keepdims=True))\n"
     "                 / np.sqrt(x.var(axis=(2, 3), keepdims=True) + self.eps)\n"
     "                 if self.training else (x - mean[:, None, None]) / std[:, None, None])\n",
     r"each image was normalised by itself"),
    ("batch in evaluation", "if self.training:\n", "if True:\n",
     r"evaluation used the batch's own"),
    ("biased running variance", "r * var * m / (m - 1)", "r * var",
     r"running_var took|after forward, running_var"),
    ("momentum the other way round", "r = self.momentum\n",
     "r = 1 - self.momentum\n",
     r"share of what is new|after forward, running_"),
    ("never updated", "            self.running_mean = (1 - r) * self.running_mean + r * mean\n"
     "            self.running_var = (1 - r) * self.running_var + r * var * m / (m - 1)\n", "",
     r"stayed as they were|after forward, running_"),
    ("variance with m − 1", "** 2).mean(axis=(0, 2, 3))", "** 2).sum(axis=(0, 2, 3)) / (m - 1)",
     r"has m − 1 in it"),
    ("ε beside the root", "std = np.sqrt(var + self.eps)", "std = np.sqrt(var) + self.eps",
     r"under the root"),
    ("mode asked again", "x_hat, std, training = self.recall(dy)",
     "x_hat, std, _ = self.recall(dy)\n        training = self.training",
     r"asked for the mode again"),
    ("running average written into", "self.running_mean = (", "self.running_mean[:] = (",
     r"wrote into running_mean"),
]

"""Unseen bugs — mistakes in unseen_layers.py, for which the diagnosis was never tuned.

Each takes the text of a right class and replaces a piece of it, which stands there exactly once.
`says` is the true cause; `accept` are the regular expressions of which a right first cause
matches one (whatever the case of its letters). They are generous in wording, but what would
send the author looking in a wrong place does not match.

These are here to measure the diagnosis (benchmarks/diagnosis.py), so they must stay unseen: who
works on it looks at the counts, not at the bugs.
"""
import inspect
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import unseen_layers
from unseen_layers import RIGHT


@dataclass(frozen=True)
class Unseen:
    """A wrong layer. With `in_forward`, backward may be right, and the reference is needed."""

    id: str
    base: str
    changes: dict[str, str] = field(repr=False)
    says: str
    accept: tuple[str, ...] = field(repr=False)
    in_forward: bool = False

    def make(self) -> Any:
        """The wrong layer."""
        cls, arguments, _ = RIGHT[self.base]
        text = inspect.getsource(cls)
        for old, new in self.changes.items():
            if text.count(old) != 1:
                raise ValueError(f"{self.id}: {old!r} stands {text.count(old)} times in "
                                 f"{self.base}; expected once")
            text = text.replace(old, new)
        names = dict(vars(unseen_layers))
        exec(compile(text, f"<{self.id}>", "exec"), names)
        return names[self.base](*arguments)

    @property
    def inputs(self) -> tuple[np.ndarray, ...]:
        return RIGHT[self.base][2]

    def reference(self) -> Any:
        """The right layer, for mistakes in forward; None otherwise."""
        cls, arguments, _ = RIGHT[self.base]
        return cls(*arguments) if self.in_forward else None


UNSEEN: list[Unseen] = []


def bug(id: str, base: type | str, changes: dict[str, str], says: str, *accept: str,
        in_forward: bool = False) -> None:
    UNSEEN.append(Unseen(id, base, changes, says, accept, in_forward))


NEGATIVE = r"negative|\bsign\b|times [−-]1\b|minus sign|subtract"
ZEROS = r"all (zeros?|0)|is zero everywhere|never (computed|filled|added|set|assigned|written)"
OVER_N = r"1/N\b|batch size|over the batch|number of (samples|images|rows)|divided by N\b"
OVERLAP = r"overlap|overwrit|overwrote|only the last (window|tap|one)|several windows|col2im"
TRANSPOSED = r"transpos|swapped|axes"
ONE_SAMPLE = (r"only (one|a single|the (first|last)|sample)|first (sample|image|row)|"
              r"last (sample|image|row)|sample 0|one sample")
MASK = r"\bmask|where .*(0|zero|negative|blocked|dropped)|should (stop|block)|gate"
NEVER_LAST = r"never visited|last (row|column|window)|skipped|loop ends|too (early|soon)"
SHIFTED = r"shift|one pixel|crop|moved|offset|off by one"
DY_WRITTEN = r"wrote (in)?to (dy|dout|its dy)|in place|changed dy|overwr\w+ dy|dy was changed"
AXES = r"\baxis\b|\baxes\b"
AVERAGED = r"\bmean (is |was )?(used|taken)|mean instead|averaged?\b|mean, not"
PIXELS = r"H·W|H\*W|pixels|OH·OW|1/48|\b48\b"
WINDOW = (r"window'?s (size|area)|pixels of (a|the|each) window|divid\w+ .*window|window.*divid|"
          r"area|KH·KW|k²|\btaps\b")
SLOPE = r"derivative|slope"
TERM = (r"\b(a|one|some) (term|factor|part|path|use)\b.*(missing|left out|lost|forgot)|"
        r"(lacks|misses) (a|one|some) (term|factor|part|path)")
STALE = r"stale|first input|earlier|remember|previous|old input|again|last one|second"
NOT_LINEAR = r"not linear|depend\w* on dy|size of dy|dy itself|clip|sign of dy"
DTYPE = r"float32|float16|half|precision|dtype|rounded"
MISPLACED = r"wrong (pixel|place|position)|misrout"


# ── linear ───────────────────────────────────────────────────────────────────────────

bug("affine dW over N", "Affine", {"self.x.T.dot(dout)": "self.x.T.dot(dout) / len(dout)"},
    "dW divided by the batch size", OVER_N, r"1/5\b|0\.2\b")
bug("affine db mean", "Affine", {"np.sum(dout, axis=0)": "np.mean(dout, axis=0)"},
    "db averaged over the batch, not summed",
    OVER_N, AVERAGED, r"1/5\b|0\.2\b")
bug("affine db one number", "Affine", {"np.sum(dout, axis=0)": "np.sum(dout) + 0 * self.b"},
    "db sums over the outputs too",
    AXES, r"every(thing| entry)|all outputs|same number|over the outputs")
bug("affine writes dout", "Affine", {"dx = dout.dot(self.W.T)": "dx = dout.dot(self.W.T)\n"
                                     "        dout *= 0.5"},
    "dout scaled in place", DY_WRITTEN)
bug("affine L2", "Affine", {"self.x.T.dot(dout)": "self.x.T.dot(dout) + 1e-3 * self.W"},
    "weight decay added to dW, which the output does not have",
    r"decay|regulari|[^H][·×*] ?W\b|\bW\b.*(added|does not come)|0\.001|not linear|without dy|"
    r"does not depend on dy|dy = 0")
bug("affine W too early", "Affine", {"        dx = dout": "        self.W -= 0.1 * self.dW\n"
                                     "        dx = dout"},
    "W is updated before dx is computed from it", r"updat|changed.*\bW\b|optimi[sz]er|before dx",
    r"parameter.* changed|chang.*parameter")
bug("flat affine order", "FlatAffine", {"grad_rows.reshape(self.shape)":
                                        "grad_rows.reshape(self.shape, order='F')"},
    "gradient laid back in Fortran's order",
    MISPLACED, r"reshape|order|rearrang|permut")
bug("flat affine channels", "FlatAffine", {
    "grad_rows.reshape(self.shape)": "grad_rows.reshape(self.shape[0], *self.shape[2:], "
    "self.shape[1]).transpose(0, 3, 1, 2)"}, "laid back in another order, as if channels came last",
    MISPLACED, r"reshape|order|rearrang|permut|channels? last|axes|transpos")
bug("flat affine db", "FlatAffine", {"grad_out.sum(0)": "grad_out.sum(1)[:1].repeat(5)"},
    "db summed over the wrong axis: over the outputs, not over the batch",
    AXES, r"over the outputs")
bug("fc assigns", "FullyConnected", {"self.weight.grad += np.outer(dy[n], x[n])":
                                     "self.weight.grad[...] = np.outer(dy[n], x[n])"},
    "the loop over samples assigns: only the last sample remains",
    ONE_SAMPLE, r"\+=|not the sum|assign")
bug("fc early", "FullyConnected", {"for n in range(len(x)):": "for n in range(len(x) - 1):"},
    "the last sample is left out", r"last (sample|image|row)|never visited|sample .*(missing|"
    r"left out|skipped)|one sample|off by one|too (early|soon)")
bug("fc sign of x", "FullyConnected", {"np.outer(dy[n], x[n])": "np.outer(dy[n], np.abs(x[n]))"},
    "dW uses |x|",
    r"\|x\||\babs|absolute|sign of x|x's sign|instead of x|multipl\w+ .*\bx\b")
bug("fc bias stays", "FullyConnected", {"self.bias.grad += dy[n]\n": "pass\n"},
    "db is never added",
    ZEROS)

# ── convolution ──────────────────────────────────────────────────────────────────────

bug("conv loops last row", "ConvLoops", {
    "                for i in range(Ho):\n                    for j in range(Wo):\n"
    "                        top":
    "                for i in range(Ho - 1):\n                    for j in range(Wo):\n"
    "                        top"}, "the last row of outputs is never visited", NEVER_LAST)
bug("conv loops overwrites", "ConvLoops", {
    "dxp[n, :, top:top + HH, left:left + WW] += ": "dxp[n, :, top:top + HH, left:left + WW] = "},
    "overlapping windows overwrite dx", OVERLAP)
bug("conv loops crop", "ConvLoops", {
    "return dxp[:, :, p:p + self.x_shape[2], p:p + self.x_shape[3]]":
    "return dxp[:, :, 2 * p:, 2 * p:]"}, "padding taken off on the wrong side", SHIFTED, r"padding")
bug("conv loops flipped", "ConvLoops", {"dout[n, f, i, j] * self.w[f]\n":
                                        "dout[n, f, i, j] * self.w[f, :, ::-1, ::-1]\n"},
    "kernel flipped in dx", r"flip|rotat|180|revers|mirror")
bug("conv loops db", "ConvLoops", {"self.db[f] += dout[n, f].sum()":
                                   "self.db[f] += dout[n, f].mean()"},
    "db averaged over the pixels",
    AVERAGED, PIXELS)
bug("conv loops no filters", "ConvLoops", {
    "                        dxp[n, :, top:top + HH, left:left + WW] += "
    "dout[n, f, i, j] * self.w[f]\n":
    "                        dxp[n, :, top:top + HH, left:left + WW] += "
    "dout[n, f, i, j] * self.w[0]\n"}, "the first filter is used for all in dx",
    r"(first|same|one|one and the same|\b0) .*(filter|output channel|kernel|weight)|"
    r"(filter|channel|weight).* (first|same|one|0)\b|w\[0\]|output channel")
bug("columns transposed", "ConvColumns", {"d = dout.reshape(N, O, -1)":
                                          "d = dout.transpose(1, 0, 2, 3).reshape(N, O, -1)"},
    "batch and channels exchanged before the reshape", r"transpos|reshape|order|axes|swapped")
bug("columns buffered add", "ConvColumns", {
    "np.add.at(dx, (slice(None), c, rows, columns), dcols)": "dx[:, c, rows, columns] += dcols"},
    "`dx[index] += …` adds repeated indices once", OVERLAP, r"repeated|add\.at|more than once")
bug("columns db axes", "ConvColumns", {"d.sum(axis=(0, 2))": "d.sum(axis=0)[:, 0]"},
    "db sums over the batch, but not over the pixels",
    AXES, r"pixel|only .*(first|one) (position|output|row|column)")
bug("columns dw dropped", "ConvColumns", {
    'np.einsum("nop,nkp->ok", d, self.cols)': 'np.einsum("op,kp->ok", d[0], self.cols[0])'},
    "dW of the first image only", ONE_SAMPLE)
bug("columns kernel order", "ConvColumns", {
    "dcols = dcols.reshape(N, *W.shape[1:], *dout.shape[2:])":
    "dcols = dcols.reshape(N, *W.shape[2:], W.shape[1], *dout.shape[2:])"
    ".transpose(0, 3, 1, 2, 4, 5)"},
    "the columns read in another order, (kh, kw, C)",
    r"order|reshape|axes|transpos|swapped|rearrang|permut")
bug("taps stride", "ConvTaps", {
    "                dpadded[:, :, u:u + s * OH:s, v:v + s * OW:s] += ":
    "                dpadded[:, :, u:u + OH, v:v + OW] += "}, "stride ignored in dx",
    MISPLACED, r"strid|spread|packed|apart|shift|moved")
bug("taps uncropped", "ConvTaps", {
    "return dpadded[:, :, p:H - p, p:W - p]": "return dpadded[:, :, :-2 * p, :-2 * p]"},
    "padding taken off at the end instead of on both sides", SHIFTED, r"padding")
bug("taps swapped", "ConvTaps", {
    "w = self.weight.value[:, :, u, v]": "w = self.weight.value[:, :, v, u]"},
    "rows and columns of the kernel swapped in dx", TRANSPOSED)
bug("taps dw unpadded", "ConvTaps", {"np.einsum(\"nohw,nchw->oc\", dy, seen)":
    "np.einsum(\"nohw,nchw->oc\", dy, np.roll(padded, (-p, -p), (2, 3))"
    "[:, :, u:u + s * OH:s, v:v + s * OW:s])"},
    "dW from the input shifted by its padding", r"shift|padding|unpadded|padded|moved|one pixel")
bug("taps no weights", "ConvTaps", {"self.weight.grad[:, :, u, v] += ":
                                    "self.weight.grad[:, :, u, v] = "},
    "dW assigned, not added",
    r"\+=|not the sum|assign")
bug("taps bias scaled", "ConvTaps", {"self.bias.grad += dy.sum(axis=(0, 2, 3))":
                                     "self.bias.grad += dy.sum(axis=(0, 2, 3)) / len(dy)"},
    "db divided by the batch size", OVER_N, r"1/2\b|0\.5\b|half")
bug("taps forward pad", "ConvTaps", {
    "padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))":
    "padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode='edge')"},
    "pads with the edge, not with zeros",
    r"forward|padd|edge|border",
    in_forward=True)
bug("groups first", "GroupConv1x1", {"self.weight.value[g].T": "self.weight.value[0].T"},
    "dx of every group from the first group's weights", r"group")
bug("groups no batch", "GroupConv1x1", {".sum(axis=0)": ".mean(axis=0)"},
    "dW averaged over the batch",
    OVER_N, AVERAGED, r"1/3\b|0\.333")
bug("groups not transposed", "GroupConv1x1", {
    "            dx[:, g] = self.weight.value[g].T @ dyg[:, g]":
    "            dx[:, g] = self.weight.value[g].reshape(2, -1).repeat(1, 0)"
    ".reshape(-1, 2) @ dyg[:, g]"},
    "reshaped where it must be transposed", TRANSPOSED, r"reshape")
bug("depthwise dilation", "DepthwiseDilated", {
    "slice(u * d, u * d + H), slice(v * d, v * d + W)": "slice(u, u + H), slice(v, v + W)"},
    "dilation ignored in backward", MISPLACED, r"dilat|taps|shift|moved")
bug("depthwise overwrites", "DepthwiseDilated", {
    "dx[window] += g * self.kernel": "dx[window] = g * self.kernel"},
    "taps overwrite one another", OVERLAP, r"overlap|tap")
bug("depthwise neighbour", "DepthwiseDilated", {
    "g * self.kernel[:, u, v, None, None]\n        return dx":
    "g * np.roll(self.kernel, 1, 0)[:, u, v, None, None]\n        return dx"},
    "the neighbouring channel's filter in dx",
    r"(other|next|neighbou?r\w*|wrong|another) (channel|group|filter)|groups? (are )?mixed|"
    r"channels? .*(shift|roll|moved|mixed|permut|swapped)|shifted .*channel")
bug("depthwise dk once", "DepthwiseDilated", {
    "(g * self.x[window]).sum(axis=(0, 2, 3))": "(g * self.x[window])[0].sum(axis=(1, 2))"},
    "dk from the first image alone", ONE_SAMPLE)

# ── pooling, moving pixels ───────────────────────────────────────────────────────────

bug("maxpool mask everywhere", "MaxPool2x2", {
    "d = (dout[..., None] * mask)": "d = (dout[..., None] * np.ones_like(mask))"},
    "every pixel of the window gets dy", MASK, r"winner|every pixel|all pixels|maximum|largest")
bug("maxpool ties", "MaxPool2x2", {
    "mask = np.arange(4) == best[..., None]":
    "mask = self.blocks == self.blocks.max(axis=4, keepdims=True)", "best = ": "_ = "},
    "equal maxima each get all of dy", r"\bties?\b|equal maxima|equal|twice")
bug("maxpool untransposed", "MaxPool2x2", {
    "return d.transpose(0, 1, 2, 4, 3, 5).reshape(N, C, H, W)": "return d.reshape(N, C, H, W)"},
    "blocks not moved back before the reshape",
    MISPLACED, r"transpos|reshape|order|rearrang|permut|misrout")
bug("maxpool loops overwrite", "MaxPoolLoops", {
    "dx[n, c, i * s + u, j * s + v] += dout": "dx[n, c, i * s + u, j * s + v] = dout"},
    "a pixel that wins in two windows keeps one gradient", OVERLAP,
    r"wins? (twice|in (two|several))")
bug("maxpool loops argmin", "MaxPoolLoops", {"window.argmax()": "window.argmin()"},
    "gradient to the smallest number", MISPLACED, r"smallest|min|winner")
bug("maxpool loops divmod", "MaxPoolLoops", {"u, v = divmod": "v, u = divmod"},
    "row and column of the winner swapped", TRANSPOSED, MISPLACED)
bug("maxpool loops stride", "MaxPoolLoops", {"dx[n, c, i * s + u, j * s + v] +=":
                                             "dx[n, c, i + u, j + v] +="},
    "stride forgotten where the gradient is put",
    MISPLACED, r"strid|shift|moved|misrout")
bug("average not divided", "AveragePool", {"dy[:, :, i, j, None, None] / area":
                                           "dy[:, :, i, j, None, None]"},
    "not divided by the window's size",
    WINDOW, r"times 6\b|\b6\b")
bug("average one side", "AveragePool", {"area = self.stride, self.kh * self.kw":
                                        "area = self.stride, self.kh"},
    "divided by the window's height only, not by its area",
    WINDOW, r"times 2\b|\b2\b")
bug("average overwrites", "AveragePool", {"j * s:j * s + self.kw] += share":
                                          "j * s:j * s + self.kw] = share"},
    "overlapping windows overwrite", OVERLAP)
bug("average forward", "AveragePool", {".mean((2, 3))": ".max((2, 3))"},
    "takes the maximum, not the mean",
    r"forward|maxim",
    in_forward=True)
bug("global average sum", "GlobalAverage", {"/ (H * W)": "* 1.0"},
    "1/(H·W) forgotten",
    PIXELS)
bug("global average wrong size", "GlobalAverage", {"/ (H * W)": "/ (C * H * W)"},
    "divided by the channels too",
    r"1/C\b|channels|1/3\b|0\.333")
bug("global max everywhere", "GlobalMax", {"dx[n, c, self.where] = dout":
                                           "dx += dout[:, :, None] / (H * W)"},
    "the gradient of a mean: the winner forgotten",
    r"winner|maxim|every pixel|\bmask|spread|did not win", MISPLACED)
bug("global max sample 0", "GlobalMax", {"dx[n, c, self.where] = dout":
                                         "dx[n, c, self.where[:1]] = dout"},
    "the winners of sample 0 for all", MISPLACED, r"sample 0|first (sample|image)|winner")
bug("upsample mean", "Upsample", {".sum(axis=(3, 5))": ".mean(axis=(3, 5))"},
    "the copies' gradients averaged, not added",
    AVERAGED, r"1/6\b|0\.1667|copies|block")
bug("upsample first", "Upsample", {".sum(axis=(3, 5))": "[:, :, :, 0, :, 0]"},
    "only one copy's gradient, not the sum of all",
    r"copies|only (one|the first)|never visited|all but|not summed|sum over|"
    r"some .*missing|missing .*(sum|outputs)|outputs .*(missing|ignored|not used)|subset")
bug("shuffle order", "PixelShuffle", {"(0, 1, 3, 5, 2, 4)": "(0, 1, 5, 3, 2, 4)"},
    "the two offsets in the wrong order",
    MISPLACED, TRANSPOSED, r"order|reshape|permut|rearrang")
bug("reflect cropped", "ReflectPad", {
    "        inner[..., 1] += dx[..., 0]\n        inner[..., -2] += dx[..., -1]\n": ""},
    "the mirrored columns' gradient is lost",
    r"column|border|edge|mirror|used (twice|more than once)|several (places|uses|outputs)|"
    r"overlap", TERM)

# ── activations ──────────────────────────────────────────────────────────────────────

bug("relu no mask", "Rectifier", {"np.where(self.out > 0, dout, 0)": "dout + 0"},
    "mask forgotten", MASK)
bug("relu guided", "Rectifier", {"self.out > 0, dout, 0": "(self.out > 0) & (dout > 0), dout, 0"},
    "mask of dout, too, so it is not linear in dout", NOT_LINEAR)
bug("relu keeps first", "Rectifier", {"self.out = x * (x > 0)\n        return self.out":
    "out = x * (x > 0)\n        if not hasattr(self, 'out'):\n            self.out = out\n"
    "        return out"}, "the mask remembered is the first batch's", STALE)
bug("leaky zero", "LeakyReLU", {"np.where(x > 0, dy, self.slope * dy)": "np.where(x > 0, dy, 0)"},
    "ReLU's derivative: the slope is missing",
    r"slope|negative (x|inputs?|numbers?|side)|x (<|≤) 0|all zeros? where|0 where|mask")
bug("leaky writes", "LeakyReLU", {"return np.where(x > 0, dy, self.slope * dy)":
    "dy[x <= 0] *= self.slope\n        return dy"}, "scales dy in place", DY_WRITTEN)
bug("leaky inverted", "LeakyReLU", {"return np.where(x > 0, dy, self.slope * dy)":
                                    "return np.where(x > 0, self.slope * dy, dy)"},
    "the two branches exchanged",
    r"mask|wrong way|invert|exchang|slope|complement|swapped")
bug("prelu slope sign", "PReLU", {"(dy * np.where(x > 0, 0, x))": "(dy * np.where(x > 0, 0, -x))"},
    "d(slope) negative", NEGATIVE)
bug("prelu all x", "PReLU", {"np.where(x > 0, 0, x)": "x"},
    "d(slope) counts positive x, too", MASK, r"positive|x > 0|only (negative|where)")
bug("gelu half", "GELU", {"0.5 * (1 + t) + ": ""}, "the product rule's first term missing",
    SLOPE, TERM, r"product rule|first term")
bug("gelu no chain", "GELU", {"* (1 - t**2) * inner": "* (1 - t**2)"},
    "the inner derivative missing",
    SLOPE, TERM, r"inner|chain rule")
bug("elu alpha", "ELU", {"self.y + self.alpha)": "self.y + 1)"}, "slope y + 1, not y + α",
    SLOPE, r"α|alpha|negative (x|inputs?|numbers?|side)|x (<|≤) 0")
bug("softplus at y", "Softplus", {"np.exp(-self.x)": "np.exp(self.x)"},
    "σ(−x), not σ(x)",
    SLOPE, r"−x|-x|1 − |σ\(")
bug("sigmoid plain", "Squash", {"return dout * y * (1 - y)": "return dout * y"},
    "1 − y missing",
    SLOPE, r"1 ?[−-] ?y|missing factor|a factor")
bug("sigmoid ignores", "Squash", {"return dout * y * (1 - y)": "return y * (1 - y)"},
    "dout is ignored, so backward is not linear",
    r"dy (is|was)? ?(not|never) used|ignor\w* (dy|dout)|not linear|used at all|without dy|"
    r"does not depend on dy")

# ── losses ───────────────────────────────────────────────────────────────────────────

bug("softmax diagonal", "Softmax", {"return self.y * (dout - inner)":
                                    "return self.y * (1 - self.y) * dout"},
    "only the diagonal of the Jacobian",
    r"diagonal|(other|off-diagonal) (entries|elements|numbers|terms)|sum over the (row|"
    r"classes)|normali[sz]|softmax", TERM)
bug("softmax no inner", "Softmax", {"(dout - inner)": "dout"}, "the sum over the row missing",
    r"inner|sum over the (row|classes)|diagonal|normali[sz]|mean term|softmax|"
    r"project|constant", TERM)
bug("loss not averaged", "CrossEntropy", {"return dout * dscores / N": "return dout * dscores"},
    "1/N forgotten",
    OVER_N, r"times N\b|times 4\b|N times|averag")
bug("loss plus one", "CrossEntropy", {"self.labels] -= 1": "self.labels] += 1"},
    "one added at the label, not subtracted",
    r"one-hot|label|\bclass\b")
bug("loss averaged twice", "CrossEntropy", {"return dout * dscores / N":
                                            "return dout * dscores / N / N"},
    "divided by N twice", OVER_N, r"1/4\b|0\.25|twice")
bug("loss other way", "CrossEntropy", {"dout * dscores / N": "-dout * dscores / N"},
    "the negative of the gradient", NEGATIVE)
bug("squares no two", "MeanSquares", {"d = 2 * dout": "d = dout"}, "the 2 of the square missing",
    r"times (½|1/2|0\.5)|half|factor (of )?2|the 2\b|twice")
bug("squares both positive", "MeanSquares", {"return d, -d": "return d, d"},
    "the target's gradient has the wrong sign", NEGATIVE)

# ── normalisation ────────────────────────────────────────────────────────────────────

bug("bn steps no mean", "BatchNormSteps", {"return dx1 + dmu / N": "return dx1"},
    "the way through μ missing",
    r"μ|\bmean\b", TERM)
bug("bn steps half", "BatchNormSteps", {"dvar = 0.5 * dsqrtvar": "dvar = dsqrtvar"},
    "the ½ of the square root missing",
    r"varian|σ|x̂|root")
bug("bn steps no gamma", "BatchNormSteps", {"dxhat = dout * self.gamma": "dxhat = dout * 1"},
    "γ missing in dx",
    r"γ|gamma|weight")
bug("bn steps dgamma", "BatchNormSteps", {"(dout * self.xhat).sum(axis=0)":
                                          "(dout * self.xmu).sum(axis=0)"},
    "dγ with x − μ, not x̂",
    r"x̂|normali[sz]|x − μ|σ|\bstd\b|dγ|per channel|standard")
bug("bn images n", "BatchNormImages", {"m = dy.size // dy.shape[1]": "m = len(dy)"},
    "m is N, not N·H·W",
    PIXELS, r"number of|\bm\b|mean|varian|x̂|σ")
bug("bn images no variance", "BatchNormImages", {" - xhat * dg)": ")"},
    "the way through σ² missing",
    r"varian|σ|x̂", TERM)
bug("bn images constants", "BatchNormImages", {"gamma / (m * std) * (m * dy - db - xhat * dg)":
                                               "gamma / std * dy"},
    "μ and σ² taken as constants",
    r"constant|evaluation|\bmean\b.*varian|varian.*\bmean\b|μ.*σ|running", TERM)
bug("bn images dgamma", "BatchNormImages", {"dg = (dy * xhat)": "dg = (dy * xhat * std)",
                                            "- xhat * dg)": "- xhat * dg / std)"},
    "dγ not divided by σ",
    r"x̂|normali[sz]|x − μ|σ|\bstd\b|standard")
bug("bn images dbeta", "BatchNormImages", {"self.bias.grad += db.ravel()":
                                           "self.bias.grad += dg.ravel()"},
    "dβ is dγ",
    r"x̂|normali[sz]|dγ|multipl\w+ .*\bx\b|factor")
bug("bn images float32", "BatchNormImages", {"xhat, std = self.recall(dy)":
    "xhat, std = (a.astype(np.float32) for a in self.recall(dy))"}, "x̂ and σ in float32",
    DTYPE)
bug("ln wrong axis", "LayerNorm", {"dh.mean(axis=1, keepdims=True)":
                                   "dh.mean(axis=0, keepdims=True)"},
    "the mean over the batch, not over the row",
    r"\baxis\b|\baxes\b|batch|over the (rows?|samples)|other samples|\bmean\b")
bug("ln no gain", "LayerNorm", {'dh = dout * self.params["g"]': "dh = dout + 0"},
    "the gain missing in dx",
    r"γ|gamma|weight|gain|\bg\b")
bug("ln dg", "LayerNorm", {"(dout * self.h).sum(axis=0)": "(dout * self.h).mean(axis=0)"},
    "dg averaged over the batch",
    OVER_N, AVERAGED, r"1/5\b|0\.2\b")
bug("lrn no n", "CaffeLRN", {"factor = 2 * self.alpha * self.beta / self.n":
                             "factor = 2 * self.alpha * self.beta"},
    "α not divided by n in the cross term",
    r"cross|neighbou?r|(?-i:\bn\b)|α|alpha|times 5")
bug("lrn alone", "CaffeLRN", {"            total = sum(dy[:, j] * self.y[:, j] / self.scale[:, j] "
                              "for j in self.near(c, C))":
                              "            total = dy[:, c] * self.y[:, c] / self.scale[:, c]"},
    "only the channel's own part of the cross term",
    r"cross|neighbou?r|other channels|diagonal|own channel|off-diagonal", TERM)
bug("lrn added", "CaffeLRN", {"dx[:, c] -= factor": "dx[:, c] += factor"},
    "the cross term added",
    r"cross|sign .*(neighbou?r|other channels|term)|neighbou?r|other channels|"
    r"(a|one) term .*(sign|negative|subtract)")
bug("length constant", "UnitLength", {"return (dout - self.y * along) / self.length":
                                      "return dout / self.length"},
    "the length taken as a constant",
    r"constant|length|norm|diagonal|other (entries|elements|numbers)|along", TERM)

# ── dropout ──────────────────────────────────────────────────────────────────────────

bug("dropout again", "DropoutLayer", {"return dout * self.mask":
    "keep = 1 - self.p\n        return dout * (self.rng.random(dout.shape) < keep) / keep"},
    "a new mask in backward", r"mask|random|draw|anew|again|chooses")
bug("dropout p", "DropoutLayer", {"dout * self.mask": "dout * (self.mask > 0) / self.p"},
    "divided by p, not by 1 − p",
    r"1 ?[−-] ?p|1/p|\bp\b|scal|keep|1\.5\b|mask")
bug("dropout unscaled", "DropoutLayer", {"dout * self.mask": "dout * (self.mask > 0)"},
    "1/(1 − p) missing",
    r"1 ?[−-] ?p|\bp\b|scal|times 0\.6|keep")
bug("spatial axis", "SpatialDropout", {"return dy * kept / (1 - self.p)":
    "return dy * kept[:1] / (1 - self.p)"}, "the first image's mask for all",
    r"mask|first (sample|image)|sample 0")
bug("spatial everything", "SpatialDropout", {"return dy * kept / (1 - self.p)":
                                             "return dy / (1 - self.p)"}, "mask forgotten", MASK)

# ── blocks ───────────────────────────────────────────────────────────────────────────

bug("residual no skip", "ResidualMLP", {"return dout + dh @ self.W1.T": "return dh @ self.W1.T"},
    "the shortcut's gradient missing",
    r"shortcut|skip|identity|\bdy (itself|is missing)|term dy|x is used twice", TERM)
bug("residual skip only", "ResidualMLP", {"return dout + dh @ self.W1.T": "return dout + 0"},
    "the branch's gradient missing",
    r"branch|body|identity alone|only (the )?(shortcut|dy)|is dy\b", TERM)
bug("residual no relu", "ResidualMLP", {"dh = dh * (self.h > 0)": "dh = dh * 1"},
    "the mask of the hidden ReLU missing", MASK, r"relu")
bug("residual dW1", "ResidualMLP", {"self.dW1 = self.x.T @ dh": "self.dW1 = dh.T @ self.x"},
    "dW1 transposed", TRANSPOSED, r"shape")
bug("branches sizes", "TwoBranches", {"dy[:, :2], dy[:, 2:6], dy[:, 6:]":
                                      "dy[:, 4:6], dy[:, :4], dy[:, 6:]"},
    "the pieces of dy in another order",
    r"order|swap|piece|slice|split|wrong (branch|channels)|channels? .*(shift|moved|mixed)|"
    r"shifted .*channel|branch(es)? .*(swapped|wrong)")
bug("branches no carry", "TwoBranches", {"self.b.backward(db) + dx": "self.b.backward(db)"},
    "the gradient of the shortcut, the last channels, missing",
    r"shortcut|skip|identity|carr|dy's own|\bdy (itself|is missing)|branch|last channels",
    TERM)
bug("branches in place", "TwoBranches", {
    "return self.a.backward(da) + self.b.backward(db) + dx":
    "dx += self.a.backward(da) + self.b.backward(db)\n        return dx"},
    "summed in place, in dy's memory", DY_WRITTEN)
bug("dense step no relu", "DenseStep", {"self.conv.backward(dnew) * positive":
                                        "self.conv.backward(dnew)"},
    "the mask of the ReLU missing", MASK, r"relu")
bug("dense step new only", "DenseStep", {"return dold + self.norm.backward(dh)":
                                         "return self.norm.backward(dh)"},
    "the carried channels' gradient missing",
    r"shortcut|skip|identity|carr|\bdy (itself|is missing)|branch|first channels", TERM)
bug("excite no path", "Excite", {"return dx + dz[:, :, None, None] / (H * W)": "return dx"},
    "the way through the gate missing",
    r"gate|second path|path .*(missing|forgot)|through the|constant", TERM)
bug("excite mean", "Excite", {"ds = (dout * self.x).sum(axis=(2, 3))":
                              "ds = (dout * self.x).mean(axis=(2, 3))"},
    "ds averaged over the pixels",
    AVERAGED, PIXELS, r"1/20|0\.05|gate|term .*times")
bug("excite not spread", "Excite", {"dz[:, :, None, None] / (H * W)": "dz[:, :, None, None]"},
    "the mean's 1/(H·W) missing",
    PIXELS, r"times 20|gate|term .*times|\bmean\b")
bug("excite sigmoid", "Excite", {"da = ds * self.s * (1 - self.s)": "da = ds * (1 - self.s)"},
    "the gate's sigmoid lacks its factor s",
    SLOPE, r"sigmoid|gate|missing factor|a factor")
bug("scale no gamma", "ScaleShift", {"dy * self.gamma.value[:, None, None]": "dy + 0"},
    "γ missing in dx",
    r"γ|gamma|weight")
bug("scale dgamma", "ScaleShift", {"self.gamma.grad += (dy * x).sum(axis=(0, 2, 3))":
                                   "self.gamma.grad += dy.sum(axis=(0, 2, 3))"},
    "dγ without x",
    r"multipl\w+ .*\bx\b|factor x|\bx (is|was) (missing|forgotten)|sum of dy|Σ dy|without x|"
    r"input (is )?missing|plain sum")
bug("scale dbeta", "ScaleShift", {"self.beta.grad += dy.sum(axis=(0, 2, 3))":
                                  "self.beta.grad += dy.sum(axis=(0, 2))[:, 0]"},
    "dβ lacks the sum over the columns",
    AXES, r"column|pixel|only")
bug("scale forward", "ScaleShift", {"y = g * x + b": "y = g * (x + b)"},
    "γ multiplies β as well", r"forward.*(wrong|differ)|β|beta|bias", in_forward=True)
bug("bilinear once", "BilinearPool", {"both = dout + dout.transpose(0, 2, 1)": "both = dout"},
    "x occurs twice in the product: one of its two terms missing",
    r"transpos|twice|symmetr|half|second (use|path)|both", TERM)
bug("bilinear double", "BilinearPool", {"both = dout + dout.transpose(0, 2, 1)": "both = 2 * dout"},
    "2·dout where dout + its transpose is meant",
    r"transpos|symmetr|other way|axes|swapped")

# ── the library's forward, a backward of one's own ───────────────────────────────────

bug("own conv overwrites", "OwnConvBackward", {"dpadded[here] += ": "dpadded[here] = "},
    "overlapping windows overwrite dx", OVERLAP)
bug("own conv dw last", "OwnConvBackward", {"dw += ": "dw = "},
    "dW assigned in the loop: only the last window remains",
    OVERLAP, r"only .*(last|one) (pixel|position|place|output)|never visited|\+=|assign")
bug("own conv unpadded", "OwnConvBackward", {"padded[here])\n": "x[here])\n",
                                             "range(dy.shape[2])": "range(1, dy.shape[2] - 1)",
                                             "range(dy.shape[3])": "range(1, dy.shape[3] - 1)"},
    "dW from the unpadded x, and the border outputs skipped",
    r"padd|shift|moved|never visited|border|edge|last (row|column)|first (row|column)")
bug("own conv strides", "OwnConvBackward", {"slice(i * sh, i * sh + KH)": "slice(i, i + KH)"},
    "the vertical stride ignored", r"strid|shift|moved|rows", MISPLACED)
bug("own conv w", "OwnConvBackward", {"\"no,ocuv->ncuv\", dy[:, :, i, j], w)":
                                      "\"no,ocuv->ncuv\", dy[:, :, i, j], w[:, :, ::-1])"},
    "kernel flipped up and down in dx", r"flip|revers|mirror|upside")
bug("own max column", "OwnMaxBackward", {"row_winner[u % sh, n, c, i + u // sh, j]": "0"},
    "always the first column of the window", MISPLACED, r"column|winner|tap")
bug("own max padding", "OwnMaxBackward", {"dx[n, c, r, j": "dx[n, c, r + (i == 0) * ph, j"},
    "the padding not taken off in the first row", SHIFTED, MISPLACED, r"padding|first row")
bug("own max assigns", "OwnMaxBackward", {"j * sw + v - pw] +=": "j * sw + v - pw] ="},
    "a pixel that wins in overlapping windows keeps one gradient", OVERLAP)
bug("own norm mean only", "OwnNormBackward", {" - through_mean - through_variance":
                                              " - through_mean"},
    "the way through the variance missing", r"varian|σ|x̂", TERM)
bug("own norm sums", "OwnNormBackward", {"through_mean = dx_hat.mean(**axes)":
                                         "through_mean = dx_hat.sum(**axes)"},
    "the mean term is a sum", r"\bmean\b|μ|times (120|N·H·W|m)|N·H·W")
bug("own norm inside", "OwnNormBackward", {"through_variance = x_hat * (dx_hat * x_hat)":
                                           "through_variance = x_hat * (dy * x_hat)"},
    "γ missing in the variance term", r"varian|σ|x̂|γ|gamma|weight")
bug("own norm deviation", "OwnNormBackward", {
    "(dx_hat - through_mean - through_variance) * inv_std[:, None, None]":
    "dx_hat - through_mean - through_variance"},
    "1/σ missing", r"σ|\bstd\b|1/√|standard deviation|normali[sz]|per channel|varian")
bug("own lrn two", "OwnLRNBackward", {"- 2 * self.alpha": "- self.alpha"},
    "the 2 of the square missing in the cross term", r"cross|neighbou?r|other channels|α|alpha")
bug("own lrn window", "OwnLRNBackward", {"(self.size + 1) // 2": "self.size // 2"},
    "the last channel of the window left out", r"window|neighbou?r|cross|last channel")
bug("own lrn power", "OwnLRNBackward", {"(-self.beta - 1)": "(-self.beta)"},
    "s^−β where s^(−β−1) is meant", r"exponent|power|cross|neighbou?r|β|beta")

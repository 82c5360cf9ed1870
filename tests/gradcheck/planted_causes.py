"""What a right diagnosis of each planted bug says, as regular expressions.

A cause is right if one of the expressions for its bug is found in its sentence, whatever the case
of the letters. They ask for the mistake, not for a wording: any name of the same mistake will do,
and the name of another will not. Where a kind is too wide, an id has its own in BY_ID.

The bugs are split in two by a hash of their id: "seen", which the diagnosis may be tuned on, and
"held out", of which only the counts are looked at.
"""
import zlib

from planted_bugs import BUGS

OVER_N = r"1/N\b|batch size|over the batch|number of (samples|images|rows)|divided by N\b"
ZEROS = r"all (zeros?|0)|is zero everywhere|never (computed|filled|added|set|assigned|written)"
NEGATIVE = r"negative|\bsign\b|times [−-]1\b|minus sign|subtract"
AXES = r"\baxis\b|\baxes\b"
AVERAGED = (r"\bmean (is |was )?(used|taken)|mean instead|\baveraged?\b|mean, not|"
            r"1/\(?(N|H|m)\b|divided by the number")
TRANSPOSED = r"transpos|swapped|exchanged|axes"
MASK = r"\bmask|should (stop|block)|where (x|forward|it|y)|blocked|dropped|silenced|let through"
MODE = r"evaluation|training|eval\b|running|constants?\b"
RANDOM = r"random|draw|anew|again|chooses|generator"
TERM = (r"\b(a|one|some) (term|factor|part|path|use)\b.*(missing|left out|lost|forgot)|"
        r"(lacks|misses) (a|one|some) (term|factor|part|path)")
SHORTCUT = r"shortcut|skip|identity|branch|\bbody\b|carr|\bdy (itself|is missing)|term dy"
MISPLACED = r"wrong (pixel|place|position|element)|misrout|moved|right amount"
CHANNELS = r"channel|group|filter|\bmaps?\b"
SLOPE = r"derivative|slope|\blocal\b"
STALE = r"stale|first input|earlier|remember|previous|again|second|cleared|memory"
DY_WRITTEN = r"wrote (in)?to (dy|dout)|in place|changed dy|overwrote dy|dy was changed"
UNSEEN = (r"no window|unseen|should (get|be) (0|nothing|zero)|extra|outside|not looked at|"
          r"never (looked|seen|used)|does not depend")
COUNT = (r"H·W|window'?s (size|area)|KH·KW|k²|1/\(?(m|k|H|K)|area|pixels|number of taps|"
         r"divid\w+ .*window|times ([2-9]|1/[2-9]|0\.)|not divided")
PASSED_OVER = r"never called|passed over|skipped"
HEAD = r"\baux|head|classifier"

#: Number of the kind in planted_bugs.KINDS, or the word there, to what may be said of it.
BY_KIND: dict[int | str, tuple[str, ...]] = {
    1: (OVER_N,),
    2: (OVER_N, r"times N\b|N times|averag|N·C|number of classes"),
    3: (NEGATIVE,),
    4: (ZEROS,),
    5: (AXES,),
    6: (AVERAGED, OVER_N),
    7: (r"only (one|a single|the (first|last)|sample|image)|(first|last) (sample|image)|"
        r"sample \d|one sample|image \d",),
    8: (TRANSPOSED, r"Wᵀ|W\.T"),
    9: (r"flip|rotat|180|mirror|revers",),
    10: (TRANSPOSED,),
    11: (r"overlap|overwr|several windows|more than once|only the last|repeated",),
    12: (r"shift|crop|padding|one pixel|offset|moved|frame|off by",),
    13: (r"never visited|last (row|column|window)|skipped|not visited|return inside|"
         r"too (early|soon)|only the first|loop (ends|stops)",),
    14: (r"strid", MISPLACED),
    15: (UNSEEN,),
    16: (r"dilat", r"\btaps?\b"),
    17: (CHANNELS,),
    18: (r"transpos|reshape|order|swapped|axes",),
    19: (r"padd|shift|moved",),
    20: (r"\bties?\b|equal|kink|x = 0|at 0|NaN|twice",),
    21: (MISPLACED, r"winner|smallest|argm|centre|maxim"),
    22: (r"divisor|padding|count|border|edge|incomplete|1/m",),
    23: (COUNT,),
    24: (r"cross|neighbou?r|other channels|α|alpha|(?-i:times n\b)", TERM),
    25: (r"window .*(turn|other way|shift|mirror|revers)|exponent|neighbou?r|cross|β|power",),
    26: (r"1 ?[−-] ?p|\bp\b|scal|keep|1/0\.\d|times 0\.\d",),
    27: (RANDOM, MASK),
    28: (MASK,),
    29: (SLOPE, r"x .*where .*y|y .*where .*x"),
    30: (r"not linear|depend\w* on dy|size of dy|sign of dy|clip|\|dy\||mask made from dy",),
    32: (r"mean|varian|μ|σ|x̂|N·H·W|constant", TERM),
    33: (r"γ|gamma|weight|scale",),
    34: (r"dγ|x̂|normali[sz]|multipl\w+ .*\b[xy]\b|σ|sum of dy|Σ dy",),
    35: (r"ε|\beps|constant inside|1\.000|0\.999|epsilon|slightly",),
    36: (r"one-hot|label|\bclass\b", TERM),
    37: (SHORTCUT, TERM, r"used (twice|more than once)|fork"),
    38: (r"order|swap|piece|slice|split|\bcut\b|exchang|wrong (branch|channels|part)|shifted|"
         r"channels? .*(shift|moved|mixed)|branch",),
    39: (r"decay|regulari|does not come from|[^H][·×*] ?W\b|\bW\b.*added|without dy|not linear|"
         r"not depend on dy|dy = 0",),
    40: (r"reshape|order|rearrang|permut|transpos|axes|swapped|channels? last|backwards",
         MISPLACED),
    41: (DY_WRITTEN,),
    42: (r"wrote (in)?to (x|its input|the input)|in place|input .*(overwr|changed)",),
    43: (STALE,),
    44: (r"float32|float16|float64|half precision|precision|dtype|rounded",),
    45: (r"dy (is|was)? ?(not|never)|ignor|used at all|not linear|multipl\w+ by dy|without dy|"
         r"not depend on dy",),
    46: (r"shape|returned|None|tuple|order|swapped|exchang",),
    47: (r"running|buffer|statistic",),
    48: (r"updat|optimi[sz]er|parameter.*chang|chang.*parameter|new W",),
    49: (SLOPE, TERM),
    "adds": (r"\+=|not the sum|sum of both",),
    "layout": (r"contiguous|layout|Fortran|strided|order of memory",),
    "memory": (r"no_grad|memory|stale|remember|recall|second backward",),
    "writes y": (r"wrote (in)?to (the )?y|in place|\by that",),
}

MASK_OR_MODE = (MASK, MODE, r"1 ?[−-] ?p|\bp\b")
NO_BACKWARD = (ZEROS, PASSED_OVER)

#: Where the kind's expressions are too narrow or too wide for one bug.
BY_ID: dict[str, tuple[str, ...]] = {
    "adaptive-over-nhw": (OVER_N, r"times (0\.5|½|1/2\b)"),
    "add-halves": (r"half|½|1/2\b|0\.5|among the inputs",),
    "softmax-averaged-twice": (OVER_N, r"1/4\b|0\.25|twice"),
    "relu-inverted": (NEGATIVE, MASK, r"invert|wrong way|complement"),
    "relu6-inverted": (NEGATIVE, MASK, r"invert|wrong way|complement"),
    "codes-plus": (NEGATIVE, r"\bcodes?\b", TERM),
    "sequential-skips": (*NO_BACKWARD, r"backward of", TERM),
    "block-past-downsample": (*NO_BACKWARD, r"downsample|shortcut"),
    "preact-skipped": (*NO_BACKWARD, r"pre-?act", TERM),
    "googlenet-no-heads": (*NO_BACKWARD, HEAD, r"without dy|not depend on dy", TERM),
    "depth-channels": (r"mask|sample", AXES),
    "se-first-pixel": (r"pixel|only (one|the first)", AXES, TERM),
    "scale-mean": (AVERAGED, r"gate|H·W|pixels", TERM),
    "graph-mean": (AVERAGED, r"half|½|0\.5|1/2\b|fork|several uses"),
    "codes-mean": (AVERAGED, r"classes|1/3\b|term .*times"),
    "depth-first-image": (r"mask|sample|image", AXES),
    "softmax-first-sample": (r"sample|only .*row|image",),
    "conv-last-sample": (r"sample|image",),
    "conv-early-return": (r"return inside|loop|only the first|never visited|one tap|taps",),
    "max-early-return": (r"return inside|loop|only the first|never visited",),
    "subsampling-first-pixel": (r"return inside|loop|only|never|pixel|\btap",),
    "padshortcut-odd": (r"strid|shift|one pixel", MISPLACED),
    "padshortcut-corner": (r"strid|packed|apart|spread|corner", MISPLACED),
    "avg-stride": (r"strid|swapped", MISPLACED, AXES),
    "padshortcut-smeared": (UNSEEN, r"every|all (four|pixels)|repeat"),
    "pad-frame": (UNSEEN, r"frame|border|edge|padding|constant"),
    "max-unseen": (UNSEEN, r"winner|mask|did not win"),
    "depthwise-dx-all-channels": (CHANNELS, AXES),
    "partial-transposed": (TRANSPOSED, r"order|connect|map|filter"),
    "partial-order": (r"order|revers|permut|filter|connect|flip|moved|swapped|shift",),
    "max-ties-twice": (r"\bties?\b|equal|twice",),
    "max-ties-twice-apart": (r"\bties?\b|equal|twice",),
    "max-transposed": (MISPLACED, TRANSPOSED, r"winner"),
    "max-sample-0": (MISPLACED, r"sample|image|winner"),
    "max-channel-0": (MISPLACED, r"channel|winner"),
    "lrn-cross-sign": (r"cross|neighbou?r|other channels|(a|one) term .*(sign|negative|subtract)",),
    "lrn-no-own": (r"\bown\b|direct", TERM),
    "lrn-alone": (r"cross|neighbou?r|other channels|diagonal|own channel", TERM),
    "network-one-wrong": (*BY_KIND[26], r"dropout|mask"),
    "relu-vanishing": (r"not linear|depend\w* on dy|size of dy|small dy|flush",),
    "codes-no-sum": (r"not linear|depend\w* on dy|without dy|used at all|dy = 0",),
    "bn-constants": (r"constant|\bmean\b.*varian|μ.*σ|evaluation|running", TERM),
    "bn-no-mean": (r"\bmean\b|μ", TERM),
    "bn-no-variance": (r"varian|σ|x̂", TERM),
    "bn-half-variance": (r"varian|σ|x̂",),
    "bn-mean-sign": (r"\bmean\b|μ",),
    "bn-eval-as-train": (MODE, r"\bmean\b|varian|μ|σ"),
    "bn-train-as-eval": (MODE, r"\bmean\b|varian|μ|σ", TERM),
    "bn-running-backward": (r"running|varian|σ|\bstd\b",),
    "dropout-eval-scaled": MASK_OR_MODE,
    "dropout-train-passes": MASK_OR_MODE,
    "dropout-inverted": (MASK, r"invert|wrong way|complement"),
    "depth-eval-scaled": MASK_OR_MODE,
    "depth-train-passes": MASK_OR_MODE,
    "depth-inverted": (MASK, r"invert|wrong way|complement"),
    "foreign-loss-eps": (r"ε|\beps|constant inside|\blog|1e-0?7|slightly|tiny",),
    "residual-doubled": (r"twice|doubled|times 2|shortcut|identity|\bdy (itself|too|once)",),
    "residual-sign": (r"shortcut|identity|(term|dy) .*(sign|negative|subtract)",),
    "inverted-doubled": (r"twice|doubled|times 2|shortcut|identity|\bdy (itself|too|once)",),
    "scale-no-gate": (r"gate|\bs\(x\)|second path|constant|branch 0 \(Adaptive", TERM),
    "conv-cropped-0-0": (r"crop|slice.*empty|empty.*slice",),
    "pad-sliced": (r"crop|slice.*empty|empty.*slice",),
    "max-unpadded": (*BY_KIND[22], MISPLACED),
    "bn-dbeta-row": (*BY_KIND[5], r"the (first|last) (row|column)"),
    "bn-dgamma-eval-mean": (*BY_KIND[34], r"running_mean left out"),
    "conv-db-row": (*BY_KIND[5], r"only the (first|last) (row|column)"),
    "scale-no-direct": (r"direct|first path|\bpath\b", TERM),
    "se-no-gate": (r"gate|\bs\(x\)|second path|constant", TERM),
    "se-no-direct": (r"direct|first path|\bpath\b", TERM),
    "graph-two-summed": (r"inputs|both|sum of|other input|extra",),
    "googlenet-swapped": (r"swap|exchang|order|other", HEAD),
    "googlenet-weighted": (r"0\.3\b", HEAD),
    "googlenet-heads-only": (r"chain|replaced|overwr|logits", HEAD, TERM),
    "googlenet-late": (r"below|wrong layer|passed over", HEAD, TERM),
    "googlenet-logits": (r"ignor|not used|never used|same dy|logits|dy is", HEAD),
    "foreign-loss-in-place": (STALE, r"in place|wrote|cached"),
    "foreign-dict-decay": (*BY_KIND[39], r"W1|W2"),
    "foreign-dict-bias": (AXES, r"sum of dy|Σ dy|multipl\w+ .*\bx\b"),
    "linear-dw-reshaped": (TRANSPOSED, r"reshape|order|rearrang|permut"),
    "linear-x-overwritten": (*BY_KIND[42], r"forward wrote"),
    "conv-columns-order": (r"order|reshape|axes|transpos|swapped|rearrang|permut",),
    "foreign-list-transposed": (TRANSPOSED, r"reshape|order|rearrang|permut"),
    "conv-updated-w": (*BY_KIND[48], r"value changed"),
    "foreign-attributes-w": (*BY_KIND[48], r"value changed|trains"),
    "relu-times-y": (SLOPE, MASK, r"multipl\w+ .*\b[xy]\b|y²"),
    "relu6-ceiling-of-y": (SLOPE, MASK, r"above 6"),
    "max-everyone": (MASK, r"winner|every pixel|all pixels|maxim|did not win"),
    "mbconv-depth-skipped": (MASK, RANDOM, PASSED_OVER, r"depth|drop|1 ?[−-] ?p"),
    "mbconv-depth-twice": (MASK, r"shortcut|identity|depth|drop|1 ?[−-] ?p|twice"),
    "block-no-relu": (MASK, PASSED_OVER, r"relu"),
    "block-relu-on-body": (MASK, PASSED_OVER, r"relu|shortcut"),
    "inception-residual-no-relu": (MASK, PASSED_OVER, r"relu"),
    "inception-residual-unscaled": (r"scale|0\.3\b|3\.33|1/0\.3|branch", TERM),
    "inception-residual-scaled-all": (r"shortcut|scale|0\.3\b|identity|dy .*times",),
    "concat-last": (r"only|overwr|branch|lost|never", TERM),
    "relu6-sixth": (r"1/6\b|0\.1667|divided by 6",),
    "subsampling-no-coefficient": (r"weight|coefficient|γ|(?-i:\bw\b)",),
    "subsampling-mean": (r"1/4\b|0\.25|¼|mean",),
    "subsampling-dw-mean": (r"1/4\b|0\.25|¼|mean",),
    "subsampling-dw-y": (r"\by\b|x̂|multipl\w+|factor",),
    "subsampling-db-weighted": (r"weight|coefficient|γ|(?-i:\bw\b)",),
    "codes-half": (r"half|½|1/2\b|0\.5\b|factor 2",),
    "codes-no-x": (r"\bx\b", TERM),
    "codes-no-code": (r"\bcodes?\b", TERM),
    "scaledtanh-no-s": (r"3/2|1\.5\b|2/3|⅔|(?-i:\bS\b)",),
    "scaledtanh-no-a": (r"1\.7159|0\.58|1/1\.7|(?-i:\bA\b)",),
}


def accepted(bug: object) -> tuple[str, ...]:
    """The expressions of which a right cause of this bug matches one."""
    return BY_ID.get(bug.id, BY_KIND.get(bug.kind, ()))


def half(bug: object) -> str:
    """ "seen" or "held out"; the same on every machine."""
    return ("seen", "held out")[zlib.crc32(bug.id.encode()) % 2]


#: The bugs that a diagnosis can be asked about: those that the check finds.
FOUND = [bug for bug in BUGS if not bug.missed_because]

"""Wrong solutions of conv1x1: (id, old text, new text, what the cause must say)."""
WRONG = [
    ("w transposed in dx", 'np.einsum("oc,nohw->nchw", self.weight.value, dy)',
     'np.einsum("co,nohw->nchw", self.weight.value.reshape(self.weight.value.shape[::-1]), dy)',
     r"transposed|reshape|exchanged"),
    ("divided by the batch", 'np.einsum("nohw,nchw->oc", dy, x)',
     'np.einsum("nohw,nchw->oc", dy, x) / len(x)', r"1/N|batch"),
    ("only the first image", 'np.einsum("nohw,nchw->oc", dy, x)',
     'np.einsum("nohw,nchw->oc", dy[:1], x[:1])', r"only sample|only the first|sample"),
    ("mean of dy", "dy.sum(axis=(0, 2, 3))", "dy.mean(axis=(0, 2, 3))", r"mean"),
    ("assigned", "self.weight.grad += np", "self.weight.grad[...] = np", r"\+=|add"),
    ("db never computed", "self.bias.grad += dy.sum(axis=(0, 2, 3))", "pass",
     r"all zeros|never"),
    ("no bias", " + self.bias.value[:, None, None]", "", r"bias is missing"),
    ("reshape for transpose", 'np.einsum("oc,nchw->nohw", self.weight.value, x)',
     'np.einsum("oc,nchw->onhw", self.weight.value, x).reshape(\n'
     '            len(x), -1, *x.shape[2:])', r"images and channels are mixed up"),
]

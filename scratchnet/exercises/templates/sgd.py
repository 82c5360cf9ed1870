"""sgd — one step downhill, with momentum and weight decay, as in the AlexNet paper.

Write sgd_step, which moves one weight array w along its gradient g:

    v ← m·v − λ·ε·w − ε·g           the velocity: a fading sum of past steps
    w ← w + v                       with the new v

    ε  lr             how far one step goes; the paper begins with 0.01
    m  momentum       how much of the last step is kept; 0.9
    λ  weight_decay   how strongly weights are pulled towards zero; 0.0005

Shapes      w, v and g have the same shape, whatever it is; lr, momentum and weight_decay are
            numbers.
Rules       return the new w and the new v, in this order, as new arrays; leave the old ones as
            they are (an optimiser would write into them; here it makes steps comparable).

Worked example: lr = 0.1, momentum = 0.9, weight_decay = 0.01

    w = [1.0  -2.0]     v = [0.5  0.0]     g = [3.0  4.0]

    new v = [0.45 - 0.001 - 0.3    0 + 0.002 - 0.4] = [0.149  -0.398]
    new w = [1.149  -2.398]
"""


def sgd_step(w, v, g, lr, momentum, weight_decay):
    """Return (w, v) after one step."""
    raise NotImplementedError("sgd: write sgd_step")

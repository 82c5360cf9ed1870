"""sgd — the step of the AlexNet paper, and the ones it is confused with."""
from scratchnet.exercises.spec import Case, Classic, Exercise


def sgd_step(w, v, g, lr, momentum, weight_decay):
    """(w, v) after v ← m·v − λ·ε·w − ε·g and w ← w + v (Krizhevsky et al., 2012, section 5)."""
    v = momentum * v - weight_decay * lr * w - lr * g
    return w + v, v


def rate_outside(w, v, g, lr, momentum, weight_decay):
    v = momentum * v + g + weight_decay * w
    return w - lr * v, v


def uphill(w, v, g, lr, momentum, weight_decay):
    return sgd_step(w, v, -g, lr, momentum, weight_decay)


def decay_without_rate(w, v, g, lr, momentum, weight_decay):
    return sgd_step(w, v, g, lr, momentum, weight_decay / lr)


def growing(w, v, g, lr, momentum, weight_decay):
    return sgd_step(w, v, g, lr, momentum, -weight_decay)


def decay_of_velocity(w, v, g, lr, momentum, weight_decay):
    v = momentum * v - weight_decay * lr * v - lr * g
    return w + v, v


def old_velocity(w, v, g, lr, momentum, weight_decay):
    return w + v, sgd_step(w, v, g, lr, momentum, weight_decay)[1]


def average(w, v, g, lr, momentum, weight_decay):
    return sgd_step(w, v, (1 - momentum) * g, lr, momentum, weight_decay * (1 - momentum))


def no_decay(w, v, g, lr, momentum, weight_decay):
    return sgd_step(w, v, g, lr, momentum, 0)


def swapped(w, v, g, lr, momentum, weight_decay):
    return sgd_step(w, v, g, lr, momentum, weight_decay)[::-1]


def step(momentum, weight_decay, lr=0.1, moving=True, shape=(3, 4)):
    """Draw w, v and g; not moving: v = 0, as before the first step."""
    def draw(rng):
        w, v, g = rng.standard_normal((3, *shape))
        return w, v if moving else 0 * v, g, lr, momentum, weight_decay
    return draw


EXERCISE = Exercise(
    name="sgd",
    title="SGD: one step downhill, with momentum and weight decay",
    reference={"sgd_step": sgd_step},
    cases=(
        Case("the first step, v = 0", "sgd_step", step(0.0, 0.0, moving=False)),
        Case("momentum", "sgd_step", step(0.9, 0.0)),
        Case("weight decay", "sgd_step", step(0.0, 0.25, moving=False)),
        Case("another learning rate", "sgd_step", step(0.0, 0.0, lr=0.003, moving=False)),
        Case("everything at once", "sgd_step", step(0.7, 0.125, lr=0.03, shape=(2, 3, 4, 5))),
    ),
    classics=(
        Classic("sgd_step", rate_outside, "the learning rate stands outside the velocity (as in "
                                          "PyTorch): here it is inside, v is already the step"),
        Classic("sgd_step", uphill, "the step goes uphill: the gradient points to where the loss "
                                    "grows"),
        Classic("sgd_step", decay_without_rate, "the weight decay lacks the learning rate: both "
                                                "pulls are scaled by ε"),
        Classic("sgd_step", growing, "the weight decay has the wrong sign: it should pull weights "
                                     "towards zero"),
        Classic("sgd_step", decay_of_velocity, "the decay pulls at v: it should pull at the "
                                               "weights"),
        Classic("sgd_step", old_velocity, "w moved by the old velocity: compute the new one "
                                          "first"),
        Classic("sgd_step", average, "the gradient is scaled by 1 − m, an average: in the paper "
                                     "the velocity is a sum"),
        Classic("sgd_step", no_decay, "the weight decay is missing"),
        Classic("sgd_step", swapped, "the two results are in the wrong order: first w, then v"),
    ),
    hints=(
        "Read the two lines as an order of events. When the weights move, is the velocity "
        "already the new one or still the old one? Then look at the three terms of the new "
        "velocity one by one. Which of them would be there if the ground were flat, that is, for "
        "g = 0? Which would be there in the very first step, when v is 0? Which of them change "
        "when you halve the learning rate, and which one does not? And in which direction does "
        "each push: g points to where the loss grows, and w points away from zero. If you can "
        "answer these questions for your own code, with a number for each instead of an array, "
        "it is almost certainly right; if one answer is a surprise, you have found the line to "
        "look at.",

        "Think of a ball that rolls in a bowl filled with syrup. The slope of the ground, g, "
        "pushes it downhill, so with a minus sign; what it had of speed stays, but every step "
        "some of it is lost to the syrup, a tenth if the momentum is 0.9. If the push is always "
        "−1, the speed becomes −1, then −1.9, then −2.71, and settles at −10: ten times one "
        "step. If the push alternates between +1 and −1, the speed stays about half of one step. "
        "Weight decay is a rubber band from every weight to zero: the further away, the harder "
        "it pulls back. With a weight of 8, a decay of 0.01 and a learning rate of 0.5, the pull "
        "is −0.04, for a weight of −8 it is +0.04; how steep the loss is does not matter to it.",

        "Compute the new velocity first, in a new array. Begin with the old one times the "
        "momentum. Subtract the pull to zero: three factors, of which only one is an array. "
        "Subtract the push downhill: the gradient times the learning rate. Every term has the "
        "shape of w, so no reshaping and no loop is needed. Only now add the new velocity to the "
        "weights, again into a new array, and return the two, the weights first. Take care with "
        "operators that write in place: a shortened assignment such as minus-equals changes the "
        "array that the caller still holds. If a test complains of only one setting, look at the "
        "term which that setting switches on: momentum 0 hides the first, decay 0 hides the "
        "second.",
    ),
)

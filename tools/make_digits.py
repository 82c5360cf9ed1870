"""Write scratchnet/data/digits.npz from scikit-learn's copy of the UCI digits.

    python tools/make_digits.py

Each digit class is shuffled once with a fixed seed and cut 70 : 10 : 20 into training (0),
validation (1) and held-out (2). The parts are stored, so that no later version of a random
generator can change the split.
"""
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

TARGET = Path(__file__).parents[1] / "scratchnet" / "data" / "digits.npz"


def main() -> None:
    """Write the archive and say how large the parts are."""
    digits = load_digits()
    labels = digits.target.astype(np.uint8)
    part = np.zeros(len(labels), dtype=np.uint8)
    quota = {1: 180, 2: 360}
    rng = np.random.default_rng(2012)
    order = np.concatenate([rng.permutation(np.flatnonzero(labels == c)) for c in range(10)])
    rank = np.concatenate([(np.arange(n) + 0.5) / n for n in np.bincount(labels)])
    by_rank = order[np.argsort(rank, kind="stable")]        # every stretch has all classes alike
    part[by_rank[:quota[1]]] = 1
    part[by_rank[quota[1]:quota[1] + quota[2]]] = 2
    np.savez_compressed(TARGET, images=digits.images.astype(np.uint8), labels=labels, part=part)
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes, parts {np.bincount(part)}")
    for p in (0, 1, 2):
        print(p, np.bincount(labels[part == p]))


if __name__ == "__main__":
    main()

"""Set-up for all tests."""
import os

# With pytest-xdist every worker has a core to itself; BLAS threads beyond it would only wait for
# each other, for three times as long. The variables are for what is loaded later (PyTorch, child
# processes); NumPy is there already, since pytest reads pyproject.toml's warnings before this.
if "PYTEST_XDIST_WORKER" in os.environ:
    import numpy  # noqa: F401
    from threadpoolctl import threadpool_limits

    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    threadpool_limits(1)

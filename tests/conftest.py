"""Set-up for all tests."""
import os

# With pytest-xdist every worker has a core to itself; BLAS threads beyond it would only wait
# for each other. Must be set before NumPy is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")

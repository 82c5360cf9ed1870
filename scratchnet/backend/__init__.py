"""Where arrays live: NumPy on the CPU, CuPy on the GPU."""
from scratchnet.backend.arrays import (
    asarray_like,
    best_device,
    describe_device,
    device_of,
    is_array,
    to_device,
    to_host,
    why_no_gpu,
    xp_of,
)

__all__ = ["asarray_like", "best_device", "describe_device", "device_of", "is_array",
           "to_device", "to_host", "why_no_gpu", "xp_of"]

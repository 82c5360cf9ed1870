"""Where arrays live (NumPy on the CPU, CuPy on the GPU), in what memory, and on which threads."""
from scratchnet.backend.arithmetic import add, multiply
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
from scratchnet.backend.channels import moments, near_zero, per_pixel, sums
from scratchnet.backend.memory import Workspace, empty, empty_like
from scratchnet.backend.parallel import (
    EACH,
    WORTH,
    in_planes,
    in_tiles,
    product,
    spread,
    threads,
)

__all__ = ["EACH", "WORTH", "Workspace", "add", "asarray_like", "best_device", "describe_device",
           "device_of", "empty", "empty_like", "in_planes", "in_tiles", "is_array", "moments",
           "multiply", "near_zero", "per_pixel", "product", "spread", "sums", "threads",
           "to_device", "to_host", "why_no_gpu", "xp_of"]

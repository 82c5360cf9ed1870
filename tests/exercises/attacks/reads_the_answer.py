"""Reads the library's source from the disk and runs it."""
from pathlib import Path

exec(Path("@ROOT@/scratchnet/layers/relu.py").read_text())

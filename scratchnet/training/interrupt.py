"""Interrupts — Ctrl-C, SIGTERM and SIGUSR1 wait until the update under way is finished.

SIGTERM is how a system asks a program to end. SIGUSR1 is what batch systems send some time before
they end a job, and what mpiexec passes on to the processes that it has started.
"""
import signal
import threading
from types import FrameType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, and has saved what it had; `number` is the signal's."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.number = number


class Interrupts:
    """`with Interrupts() as asked:` then asked.number is the signal that came, or 0.

    A second Ctrl-C stops at once, as it would have without this. Only the main thread is sent
    signals; in another nothing changes.
    """

    SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1")
                    if hasattr(signal, name))           # Windows has no SIGUSR1

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number

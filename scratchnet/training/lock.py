"""Lock — one process at a time trains in a folder. The system opens the lock when we die."""
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

NAME = "lock"
_ours = threading.local()               # the folders that this thread has locked already


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder, and keep every other process, and thread, out of it.

    Raises ValueError if another one is in it. Where the file system knows no locks, nothing is
    kept out.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    held = _ours.__dict__.setdefault("folders", set())
    if folder.resolve() in held:
        yield
        return
    with (folder / NAME).open("wb") as file:
        if _is_taken(file):
            raise ValueError(f"another process is training in {folder}: wait for it, or name "
                             f"another folder")
        held.add(folder.resolve())
        try:
            yield
        finally:
            held.discard(folder.resolve())
            if made and [path.name for path in folder.iterdir()] == [NAME]:     # nothing began
                file.close()
                (folder / NAME).unlink()
                folder.rmdir()


def _is_taken(file: BinaryIO) -> bool:
    """Try to lock the file; True if somebody else has."""
    try:
        import fcntl
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:                 # Windows, which locks bytes
        import msvcrt
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return True
    except BlockingIOError:
        return True
    except OSError:                     # a file system without locks
        pass
    return False

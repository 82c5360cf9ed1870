"""Wire — how values cross between the grader and a submission: plain data, never pickles.

A message is one frame of bytes,

    8 bytes     the lengths of the two parts that follow, as little-endian unsigned integers
    JSON        what is said; an array stands there as [dtype, shape, layout]
    raw bytes   the numbers of the arrays, in the order in which the JSON names them

so whoever reads it gets numbers, texts and lists, and whatever the sender did, nothing that
runs. An object of any other kind crosses as its type's name, an exception as the names of its
type and of its line. The lengths are checked before anything is read, the shapes before any
array is made.

Both ends speak the same language, and may ask while the other one waits for its answer: in a
bug hunt the student's test, running there, calls layers that live here.
"""
import builtins
import inspect
import json
import math
import struct
import traceback
from collections.abc import Callable
from itertools import count
from typing import Any, BinaryIO

import numpy as np

from scratchnet.exercises.solution import PRIVATE, NotWritten, SolutionError

JSON_LIMIT = 1 << 20            # bytes
ARRAY_LIMIT = 64 << 20          # bytes, all arrays of one message together
ITEMS_LIMIT = 10_000            # of one list
TEXT_LIMIT = 2000               # characters of a name or message
_HEAD = struct.Struct("<II")
_OWN = {"SolutionError": SolutionError, "NotWritten": NotWritten}
_DTYPES = {np.dtype(name) for name in (
    "?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")}


class WireError(BaseException):
    """The other end broke the rules of the wire, or is gone.

    Like KeyboardInterrupt it ends whatever is going on: no `except Exception` on the way may
    take it for a mistake of the layer.
    """


# ── values ───────────────────────────────────────────────────────────────────────────────


def encode(value: Any, payload: list[bytes], known: list[np.ndarray] | None = None) -> Any:
    """The JSON of `value`, the bytes of its arrays appended to `payload`.

    An array that is one of `known` crosses as its number there; one that is not is appended.
    """
    if value is None or isinstance(value, bool | str):
        return value[:TEXT_LIMIT] if isinstance(value, str) else value
    if type(value) in (int, float):
        return value if abs(value) < 1 << 64 or type(value) is float else _stand_for(value)
    if isinstance(value, np.ndarray) and value.dtype in _DTYPES:
        for number, other in enumerate(known or ()):
            if value is other:
                return {"known": number}
        if known is not None:
            known.append(value)
        # An array of a subclass is read as the plain array that it is.
        return {"array": _describe(np.asarray(value), payload)}
    if isinstance(value, np.generic) and value.dtype in _DTYPES:
        return {"scalar": _describe(np.asarray(value), payload)}
    for kind, name in ((tuple, "tuple"), (list, "list")):
        if type(value) is kind:
            if len(value) > ITEMS_LIMIT:
                raise ValueError(f"a {name} of {len(value)} items: none as long was asked for")
            return {name: [encode(item, payload, known) for item in value]}
    if type(value) is dict and all(isinstance(key, str) for key in value):
        return {"dict": [[key, encode(item, payload, known)] for key, item in value.items()]}
    if isinstance(value, np.random.Generator) and (state := generator_state(value)):
        return {"generator": state}
    return _stand_for(value)


def decode(code: Any, payload: "Payload", known: list[np.ndarray] | None = None) -> Any:
    """The value whose JSON is `code`. Raises WireError for anything that is not in order."""
    if code is None or isinstance(code, bool | int | float):
        return code
    if isinstance(code, str):
        return code[:TEXT_LIMIT]
    if not isinstance(code, dict) or len(code) != 1:
        raise WireError(f"expected a value; got a {type(code).__name__}")
    (kind, inside), = code.items()
    if kind == "known" and type(inside) is int and 0 <= inside < len(known or ()):
        return known[inside]
    if kind in ("array", "scalar"):
        array = payload.take(inside)
        if kind == "scalar":
            return array.reshape(-1)[0] if array.size == 1 else _no(code)
        if known is not None:
            known.append(array)
        return array
    if kind in ("tuple", "list") and isinstance(inside, list):
        items = [decode(item, payload, known) for item in inside]
        return tuple(items) if kind == "tuple" else items
    if kind == "dict" and _pairs(inside):
        return {key: decode(item, payload, known) for key, item in inside}
    if kind == "generator":
        return generator_with(inside)
    if kind == "object" and isinstance(inside, str):
        return stand_in(inside)
    return _no(code)


class Payload:
    """The raw bytes of a message's arrays, handed out one after the other, each once."""

    def __init__(self, data: bytes):
        self._data, self._at = data, 0

    def take(self, described: Any) -> np.ndarray:
        """The next array, which the JSON describes as [dtype, shape, layout]."""
        try:
            name, shape, layout = described
            dtype = np.dtype(name) if isinstance(name, str) and len(name) < 5 else None
            if (dtype not in _DTYPES or len(shape) > 32 or layout not in ("C", "F", "S")
                    or not all(type(n) is int and 0 <= n <= ARRAY_LIMIT for n in shape)):
                raise ValueError
        except (TypeError, ValueError):
            return _no(described)
        size = math.prod(shape) * dtype.itemsize
        if size > len(self._data) - self._at:
            raise WireError(f"an array of shape {tuple(shape)} came with too few bytes")
        flat = np.frombuffer(self._data, dtype, math.prod(shape), self._at)
        self._at += size
        plain = flat.reshape(shape).copy()
        if layout == "F":
            return np.asfortranarray(plain)
        if layout == "S":               # every second element of a wider array
            wide = np.zeros((*plain.shape[:-1], 2 * plain.shape[-1]), dtype)
            wide[..., ::2] = plain
            return wide[..., ::2]
        return plain

    def end(self) -> None:
        """Raise WireError if bytes are left."""
        if self._at != len(self._data):
            raise WireError("more bytes came than the arrays have")


def stand_in(name: str) -> Any:
    """An object whose type has this name: what is left of an object that cannot cross."""
    name = "".join(c if c.isprintable() else "?" for c in name[:80]) or "object"
    return type(name, (), {"__slots__": ()})()


def generator_state(generator: np.random.Generator) -> dict | None:
    """The state of a generator of NumPy's default kind, as JSON; None for another kind."""
    state = generator.bit_generator.state
    return state if state["bit_generator"] == "PCG64" else None


def generator_with(state: Any) -> np.random.Generator:
    """A generator in this state. Raises WireError if it is none."""
    bits = np.random.PCG64(0)
    try:
        bits.state = state
    except (TypeError, ValueError, KeyError, OverflowError):
        return _no(state)
    return np.random.Generator(bits)


def _describe(array: np.ndarray, payload: list[bytes]) -> list:
    layout = ("C" if array.flags.c_contiguous else "F" if array.flags.f_contiguous else "S")
    if sum(map(len, payload)) + array.nbytes > ARRAY_LIMIT:
        raise ValueError(f"arrays of more than {ARRAY_LIMIT >> 20} MiB: none as large was asked "
                         f"for")
    payload.append(array.tobytes())
    return [array.dtype.str, list(array.shape), layout]


def _stand_for(value: Any) -> dict:
    if isinstance(value, np.ndarray):
        return {"object": f"ndarray of {value.dtype}"}
    return {"object": type(value).__name__[:80]}


def _pairs(code: Any) -> bool:
    return isinstance(code, list) and all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in code)


def _no(code: Any) -> Any:
    raise WireError(f"expected a value; got {str(code)[:80]!r}")


# ── exceptions ───────────────────────────────────────────────────────────────────────────


def encode_error(error: BaseException, file: str = "", hidden: str = "") -> dict:
    """What crosses of an exception: its type, its text, and the last line of `file` it passed.

    `hidden` is a name that must not cross: the class of a layer that hides what it is.
    """
    text = str(error)[:TEXT_LIMIT]
    if isinstance(error, SyntaxError) and error.filename == file:
        line, function, text = error.lineno or 1, "", error.msg
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        line, function = (frames[-1].lineno, frames[-1].name) if frames else (0, "")
    return {"type": type(error).__name__[:80], "line": line, "function": function[:80],
            "text": text.replace(hidden, "Layer") if hidden else text}


def throw(code: Any, file: str = "") -> None:
    """Raise the exception that encode_error described, so that its traceback ends in the line
    of `file` that raised it there. Types that are not built in become plain Exceptions."""
    error = code if isinstance(code, dict) else {}
    kind, text, line, function = (error.get(key) for key in ("type", "text", "line", "function"))
    if (not all(isinstance(v, str) and len(v) <= TEXT_LIMIT for v in (kind, text, function))
            or type(line) is not int or not 0 <= line < 1 << 20):
        _no(code)
    base = _OWN.get(kind) or getattr(builtins, kind, None)
    if (not inspect.isclass(base) or not issubclass(base, Exception | SystemExit)
            or issubclass(base, UnicodeError | ExceptionGroup)):
        base = Exception
    stand_in_class = type(kind, (base,), {"__str__": lambda self: text})
    if not line:
        raise stand_in_class(text)
    raising = compile("raise error", file, "exec").replace(
        co_firstlineno=line, co_name=function or "<module>")
    exec(raising, {"error": stand_in_class(text), "__name__": PRIVATE})


# ── the line ─────────────────────────────────────────────────────────────────────────────


class Line:
    """One end of the wire: `ask` the other end, and, while waiting, answer what it asks.

    answer   (message, payload, reply) → JSON: called for what the other end asks; bytes of
             arrays in its answer go to the list `reply`
    limit    bytes of arrays in a message that comes
    catches  what `answer` may raise that is an answer too
    """

    def __init__(self, reader: BinaryIO, writer: BinaryIO,
                 answer: Callable[[dict, Payload, list], Any] | None = None,
                 limit: int = ARRAY_LIMIT, catches: type[BaseException] = Exception):
        self._reader, self._writer = reader, writer
        self.answer, self.limit, self.catches = answer, limit, catches
        self.file = ""                          # the submission, where exceptions come from
        self.hidden = ""                        # a name that no exception may give away
        self.freed: list[int] = []              # layers there that nobody here needs any more
        self.gone = False                       # the other end is
        self._numbers = count()

    def ask(self, what: str, payload: list[bytes] = (), **fields: Any) -> tuple[dict, Payload]:
        """Ask, wait, return the answer; an exception that was raised there is raised here."""
        number = next(self._numbers)
        self._send(_json({"ask": what, "number": number, **fields}), payload)
        while True:
            message, arrays = self._receive()
            if "ask" in message:
                self._answer(message, arrays)
            elif message.get("number") != number:
                raise WireError("an answer came to a question that nobody asked")
            elif "error" in message:
                throw(message["error"], self.file)
            elif isinstance(message.get("answer"), dict):
                return message["answer"], arrays
            else:
                _no(message)

    def serve(self) -> None:
        """Answer until the other end hangs up."""
        while True:
            try:
                message, arrays = self._receive()
            except WireError:
                return
            self._answer(message, arrays)

    def _answer(self, message: dict, arrays: Payload) -> None:
        if self.answer is None or not isinstance(message.get("ask"), str):
            raise WireError("the other end asks where it should answer")
        number, payload = message.get("number"), []
        try:
            text = _json({"answer": self.answer(message, arrays, payload), "number": number})
        except WireError:
            raise
        except self.catches as error:
            text, payload = _json({"error": encode_error(error, self.file, self.hidden),
                                   "number": number}), []
        self._send(text, payload)

    def _send(self, text: bytes, payload: list[bytes]) -> None:
        try:
            self._writer.write(_HEAD.pack(len(text), sum(map(len, payload))) + text)
            self._writer.write(b"".join(payload))
            self._writer.flush()
        except (OSError, ValueError) as error:
            self.gone = True
            raise WireError("the other end is gone") from error

    def _receive(self) -> tuple[dict, Payload]:
        size, more = _HEAD.unpack(self._read(_HEAD.size))
        if size > JSON_LIMIT or more > self.limit:
            raise WireError(f"a message of {size + more} bytes came: too long")
        try:
            message = json.loads(self._read(size))
        except (ValueError, RecursionError) as error:
            raise WireError("what came is no message") from error
        if not isinstance(message, dict):
            raise WireError("what came is no message")
        return message, Payload(self._read(more))

    def _read(self, size: int) -> bytes:
        try:
            data = self._reader.read(size)
        except (OSError, ValueError):
            data = b""
        if len(data) != size:
            self.gone = True
            raise WireError("the other end is gone")
        return data


def _json(message: dict) -> bytes:
    text = json.dumps(message, check_circular=False).encode()
    if len(text) > JSON_LIMIT:
        raise ValueError(f"a result of {len(text)} characters besides its arrays: none as "
                         f"long was asked for")
    return text

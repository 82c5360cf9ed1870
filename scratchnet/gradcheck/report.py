"""Report — what a gradient check found, as a table, and why, as a sentence."""
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One argument (an input or a parameter): is its gradient right?

    verdict is "correct", "wrong" or "inconclusive"; error is the worst relative error found.
    """

    name: str
    shape: tuple[int, ...]
    verdict: str
    error: float
    probes: int
    method: str
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """One question that is not about values: a test of hygiene, or ties."""

    name: str
    verdict: str            # "correct", "wrong", "inconclusive" or "not applicable"
    message: str = ""


@dataclass(frozen=True)
class Cause:
    """A mistake that would explain what was found.

    confidence "exact": the wrong gradient was reproduced, number by number, in more than one
               setting; "likely": reproduced in one, or seen in its pattern; "guess": it fits
    """

    code: str               # the family: "sign", "scale", "missing term", …
    argument: str           # whose gradient is wrong: "x", "weight", …; "" for all of the layer
    says: str
    evidence: str
    confidence: str

    def __str__(self) -> str:
        start = {"guess": "A guess: perhaps", "likely": "Likely cause:"}.get(
            self.confidence, "Cause (exact):")
        return f"{start} {self.says}\n    Evidence: {self.evidence}"


@dataclass(frozen=True)
class Configuration:
    """A layer, its inputs and its reference in one setting; the label completes "wrong only
    with …"."""

    label: str
    layer: Any
    inputs: tuple
    reference: Any = None


@dataclass(frozen=True)
class Report:
    """The result of one check; `print` it. True in an `if` exactly when it passed."""

    layer: str
    rows: list[Row]
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    causes: list[Cause] = field(default_factory=list)       # the best first

    @property
    def verdict(self) -> str:
        """ "correct", "wrong" or "inconclusive"; nothing examined is inconclusive too."""
        verdicts = [row.verdict for row in self.rows] + [f.verdict for f in self.findings]
        if "wrong" in verdicts:
            return "wrong"
        if "inconclusive" in verdicts or not self.rows:
            return "inconclusive"
        return "correct"

    @property
    def passed(self) -> bool:
        """True only if every gradient was shown to be correct."""
        return self.verdict == "correct"

    @property
    def worst(self) -> float:
        """The largest relative error of all arguments."""
        return max((row.error for row in self.rows), default=float("nan"))

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        lines = [f"{self.layer}: {self.verdict}"]
        if self.rows:
            table = [("argument", "shape", "verdict", "worst error", "probes", "measured by")]
            table += [(row.name, "×".join(map(str, row.shape)) or "number", row.verdict,
                       f"{row.error:.1e}", str(row.probes), row.method) for row in self.rows]
            widths = [max(map(len, column)) for column in zip(*table, strict=True)]
            lines += ["  " + "  ".join(cell.ljust(width) for cell, width in
                                       zip(line, widths, strict=True)).rstrip()
                      for line in table]
            lines += [f"  {row.name}: {row.note}" for row in self.rows if row.note]
        asked = [f for f in self.findings if f.verdict != "not applicable" and not (
            f.name == "ties" and any(row.verdict == "wrong" for row in self.rows))]
        good = [f.name for f in asked if f.verdict == "correct"]
        if good:
            lines.append(f"  also correct: {', '.join(good)}")
        first = self.causes[0] if self.causes else None
        lines += [f"  {f.verdict.upper()} ({f.name}): {f.message}" for f in asked
                  if f.verdict != "correct" and not (first and f.message in first.says)]
        lines += [f"  {first}"] if first else []
        return "\n".join(lines)

"""`make browsers`: takes all steps of the walkthrough in all engines and prints a table.

The environment selects what is run: ENGINES=firefox,webkit, ONLY=react,reply (names of steps).
"""

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests.browsers import walkthrough
from tests.browsers.engines import ENGINES, running_browsers
from tests.browsers.interface import BrowserError
from tests.browsers.runner import begin_walk, picture_folder, take_step, title_of
from tests.browsers.walkthrough import STEPS, Step, Walk
from tests.servers import gunicorn

SIGTERM_STATUS = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Result:
    """How long a step took, and why it failed, if it did."""

    seconds: float
    problem: str = ""

    def __str__(self) -> str:
        """Return what the table shows."""
        return "failed" if self.problem else f"{self.seconds:.1f}"


Results = Mapping[tuple[str, str], Result]


def selected(variable: str, names: Iterable[str]) -> list[str]:
    """Return the names that an environment variable lists; all of them when it is not set."""
    known = list(names)
    given = [name.strip().lower() for name in os.environ.get(variable, "").split(",")]
    chosen = [name for name in given if name]
    unknown = [name for name in chosen if name not in [each.lower() for each in known]]
    if unknown:
        sys.exit(f"{variable}={','.join(unknown)} is unknown; there are: {', '.join(known)}.")
    return [name for name in known if not chosen or name.lower() in chosen]


def result_of(walk: Walk, step: Step) -> Result:
    """Take a step; return how it went."""
    started = time.monotonic()
    problem = ""
    try:
        take_step(walk, step)
    except (AssertionError, BrowserError) as error:
        problem = explanation(error)
    return Result(time.monotonic() - started, problem)


def explanation(error: Exception) -> str:
    """Return what went wrong, and the line of the walkthrough where it did."""
    frames = traceback.extract_tb(error.__traceback__)
    steps = [frame for frame in frames if frame.filename == walkthrough.__file__]
    where = [f"line {frame.lineno}: {frame.line}" for frame in steps[-1:]]
    return "; ".join([str(error), *where]).removeprefix("; ")


def table(results: Results, engines: list[str]) -> str:
    """Return the results as a table: seconds, or `failed`."""
    steps = list(dict.fromkeys(step for step, _ in results))
    width = max(len(step) for step in steps)
    lines = [f"{'step':{width}}" + "".join(f"{engine:>10}" for engine in engines)]
    for step in steps:
        cells = "".join(f"{results[step, engine]!s:>10}" for engine in engines)
        lines.append(f"{step:{width}}{cells}")
    return "\n".join(lines)


def run(folder: Path, engines: list[str], steps: list[Step]) -> Results:
    """Take the steps in the browsers of the engines, one engine after the other."""
    results: dict[tuple[str, str], Result] = {}
    with gunicorn(folder / "server") as server, running_browsers(folder) as browsers:
        for engine in engines:
            walk = begin_walk(server, browsers, engine)
            for step in steps:
                result = result_of(walk, step)
                results[title_of(step), engine] = result
                _print(f"{engine}: {title_of(step)}: {result} {result.problem}".rstrip())
    return results


def main() -> int:
    """Run what the environment selects; return 1 if a step failed."""
    signal.signal(signal.SIGTERM, _exit)
    engines = selected("ENGINES", ENGINES)
    names = selected("ONLY", [step.__name__ for step in STEPS])
    steps = [step for step in STEPS if step.__name__ in names]
    with tempfile.TemporaryDirectory(prefix="confab-browsers-") as folder:
        results = run(Path(folder), engines, steps)
    failures = [result for result in results.values() if result.problem]
    _print(f"\n{table(results, engines)}\n")
    _print(f"{len(results) - len(failures)} of {len(results)} passed.")
    if failures:
        _print(f"Pictures of the pages that failed are in {picture_folder()}.")
    return 1 if failures else 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _exit(_number: int, _frame: FrameType | None) -> None:
    """Exit through all context managers, so that all programs are stopped."""
    sys.exit(SIGTERM_STATUS)


if __name__ == "__main__":
    sys.exit(main())

"""How long the door takes: bare Python, ``import modest`` and ``modest --help``; medians of nine whole processes each.

python -m benchmarks.startup
"""

import statistics
import subprocess
import sys
import time

COMMANDS = {
    "bare Python": [sys.executable, "-c", "pass"],
    "import modest": [sys.executable, "-c", "import modest"],
    "modest --help": [sys.executable, "-m", "modest.cli", "--help"],
}


def seconds(command: list[str]) -> float:
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def main() -> None:
    found: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(9):  # in turns, so that a busy moment hits all three
        for name, command in COMMANDS.items():
            found[name].append(seconds(command))
    bare = statistics.median(found["bare Python"])
    for name, times in found.items():
        middle = statistics.median(times)
        print(f"{name:16} {middle:6.3f} s   {middle - bare:+.3f} s over bare Python")
    print("goals: import modest within 0.3 s of bare Python, modest --help under 1 s")


if __name__ == "__main__":
    main()

"""``make bench``: every benchmark at the sizes of the issues; takes some minutes on two cores.

The whole of ``benchmarks.represent`` takes longer and is run by hand; here only what prototypes cost per epoch.
"""

import subprocess
import sys
import tempfile


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", *arguments], check=True)


run("benchmarks.startup")
run("benchmarks.select", "--exact")
run("benchmarks.train")
with tempfile.TemporaryDirectory() as folder:
    run("benchmarks.represent", "--cost", "--workers", "1", "--into", folder)
    run("benchmarks.represent_table", "--into", folder)

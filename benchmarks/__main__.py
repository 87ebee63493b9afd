"""``make bench``: every benchmark at the sizes of the issues; takes some minutes on two cores."""

import subprocess
import sys

for arguments in (["benchmarks.startup"], ["benchmarks.select", "--exact"]):
    subprocess.run([sys.executable, "-m", *arguments], check=True)

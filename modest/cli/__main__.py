"""``python -m modest.cli`` is the same as ``modest``."""

from modest.cli import main

main()

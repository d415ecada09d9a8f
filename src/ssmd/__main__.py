"""``python -m ssmd``."""

from ssmd.cli import main

main()

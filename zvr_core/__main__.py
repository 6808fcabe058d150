"""`python -m zvr_core` is the command `zvr`."""

from zvr_core.cli import main

main()

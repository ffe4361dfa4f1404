"""`python -m taskmill` is the command line."""

from taskmill.cli import main

main()

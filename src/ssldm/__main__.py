"""`python -m ssldm`: the command line."""

from ssldm.cli import main

main()

"""`python -m crosstie` is the command line."""

from crosstie.cli import main

main()

"""`python -m handfast` is the command `handfast`."""

from handfast.cli.main import main

main()

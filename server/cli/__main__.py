"""`python -m server.cli`: the command line without its installed name."""

from server.cli.main import main

main()

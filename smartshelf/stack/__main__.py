"""``python -m smartshelf.stack``: the launcher's commands without the rest of the command line."""

from smartshelf.stack.cli import main

main()

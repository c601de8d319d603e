"""The ``smartshelf`` command. Groups are imported only when called, so that --help stays quick."""

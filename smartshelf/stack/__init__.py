"""The launcher: the whole store on real servers without Docker, on a bare Debian or Ubuntu machine.

``provision`` finds or fetches what the store needs, ``graph`` declares every service once,
``supervision`` keeps them alive by supervisord, ``launcher`` is what the commands call.
"""

"""``python -m producers``: the service."""

from producers.service import live
from smartshelf.service import running

if __name__ == "__main__":
    with running("producers") as service:
        live(service)

"""``python -m bridge``: the service."""

from bridge.forward import run
from smartshelf.service import running

if __name__ == "__main__":
    with running("bridge") as service:
        run(service)

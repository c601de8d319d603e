"""``python -m smartshelf.runner``: the service ``training-service``.

It runs the store's scheduled jobs: the star schema, its weekly views and retention now; training and prediction are
jobs of the same registry once forecasting is there.
"""

from smartshelf.runner.service import run
from smartshelf.service import running

if __name__ == "__main__":
    with running("training-service") as service:
        run(service)

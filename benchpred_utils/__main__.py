"""``python -m benchpred_utils``: the command line of :mod:`benchpred_utils.evaluate.cli`."""

import sys

from .evaluate.cli import main

if __name__ == "__main__":
    sys.exit(main())

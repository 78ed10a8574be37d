"""`python -m mlx_toy VERB …`: see `python -m mlx_toy --help`."""

import sys

from mlx_toy.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""Open the app: `python app.py`, with the flags that `python app.py --help` lists."""

import sys

from mlx_toy.ui.server import main

if __name__ == "__main__":
    sys.exit(main())

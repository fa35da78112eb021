"""``python -m graphsec``."""

import sys

from graphsec.cli import main

sys.exit(main())

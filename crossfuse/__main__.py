"""`python -m crossfuse`."""

import sys

from crossfuse.cli import main

sys.exit(main())

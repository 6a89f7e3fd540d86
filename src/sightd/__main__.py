"""`python -m sightd`: the command `sightd`."""

import sys

from sightd.daemon.__main__ import main

sys.exit(main())

# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m bootproof.tpm socket ...`."""

import sys

from bootproof.tpm.service.program import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

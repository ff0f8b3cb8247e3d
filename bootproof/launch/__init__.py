# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines: accelerator, QEMU's command line, virtual TPM, and a run that leaves nothing behind."""

# SPDX-License-Identifier: GPL-3.0-or-later
"""The program around the TPM: command line, sockets and devices, the control channel, the monitor."""

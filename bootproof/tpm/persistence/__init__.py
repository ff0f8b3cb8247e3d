# SPDX-License-Identifier: GPL-3.0-or-later
"""State on disk: containers with a checksum, encryption, and the state directory."""

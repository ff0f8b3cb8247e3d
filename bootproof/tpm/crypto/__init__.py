# SPDX-License-Identifier: GPL-3.0-or-later
"""RSA and symmetric ciphers as TPM 1.2 uses them, on `cryptography`, which is loaded at first use."""

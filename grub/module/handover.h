/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the boot stages leave in memory (stages/tpm.inc says the same): the TPM 2.0's responses to what they measured,
 * whose digests belong into the event log. Nothing is trusted because it stands there: a changed digest makes a log that
 * does not replay.
 */
#ifndef BOOTPROOF_HANDOVER_H
#define BOOTPROOF_HANDOVER_H

#include "tpm.h"

#define BOOT_PCR 4

/* Logs what the stages measured into a TPM 2.0. Returns 0, or what went wrong. */
uint32_t handover_log(void);

#endif

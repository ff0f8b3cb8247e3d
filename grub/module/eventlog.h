/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The firmware's event log.
 * Sources: TCG PC Client Specific Implementation Specification for Conventional BIOS 1.21, "Event Logging"; TCG PC Client
 * Platform Firmware Profile 1.05, "Crypto Agile Log Entry Format".
 */
#ifndef BOOTPROOF_EVENTLOG_H
#define BOOTPROOF_EVENTLOG_H

#include "tpm.h"

#define EV_IPL 0x0d

/* Appends an event of type EV_IPL; `text` is its data, with the NUL. Returns 0 or the firmware's result. */
uint32_t eventlog_append(enum tpm_kind kind, uint32_t pcr, const struct digests *digests, const char *text);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Measuring: hash, extend, log. Once something could not be measured, nothing is measured, loaded or started any more.
 */
#ifndef BOOTPROOF_MEASURE_H
#define BOOTPROOF_MEASURE_H

#include "tpm.h"

/* Looks for the TPM, and logs what the boot stages did. */
void measure_begin(void);

/* What kind of TPM it is, for people and for menus. */
const char *measure_tpm_name(void);

/* What is measured into, in words. */
const char *measure_summary(void);

/* Measures data into a PCR, as an event whose text is `what`, then `name`. */
grub_err_t measure(uint32_t pcr, const char *what, const char *name, const void *data, size_t size);

/* Returns an error if something could not be measured. */
grub_err_t measure_state(void);

#endif

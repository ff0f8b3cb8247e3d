/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The TPM, 1.2 or 2.0, by commands that the firmware passes on.
 * Sources: TPM Main 1.2 Part 3, TPM_Extend, TPM_GetRandom; TPM 2.0 Library Part 3, TPM2_PCR_Extend, TPM2_GetCapability.
 */
#ifndef BOOTPROOF_TPM_H
#define BOOTPROOF_TPM_H

#include "tcgbios.h"

enum tpm_kind {
	TPM_NONE,	/* no TPM, or no firmware that knows it */
	TPM_OFF,	/* a TPM 1.2 that is disabled or deactivated: it can prove nothing until a reset */
	TPM_12,
	TPM_20,
	TPM_BROKEN,	/* there, but does not answer as it should */
};

enum { ALG_SHA1 = 4, ALG_SHA256 = 0xb, ALG_SHA384 = 0xc, ALG_SHA512 = 0xd };

#define MOST_BANKS 8
#define LONGEST_DIGEST 64

struct digest {
	uint16_t algorithm;
	uint8_t size;
	uint8_t value[LONGEST_DIGEST];
};

struct digests {
	uint32_t count;
	struct digest list[MOST_BANKS];
};

/* Finds out what there is, and which banks a TPM 2.0 has. */
enum tpm_kind tpm_find(void);

/* Hashes for every active bank (SHA-1 for a TPM 1.2). */
void tpm_hash(const void *data, size_t size, struct digests *digests);

/* Extends a PCR; returns 0, or what went wrong: the firmware's result, or the TPM's. */
uint32_t tpm_extend(uint32_t pcr, const struct digests *digests);

/* Reads a TPML_DIGEST_VALUES; returns 0 unless it is cut off or has more than MOST_BANKS. */
int tpm_read_digests(const uint8_t *from, const uint8_t *end, struct digests *digests);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "handover.h"
#include "eventlog.h"

#define HANDOVER ((const volatile uint8_t *)0x2ff0)
#define MAGIC 0x4f485042u /* "BPHO" */
#define RESPONSES ((const uint8_t *)0x3000)
#define RESPONSE_SIZE 0x200
#define MOST_RESPONSES 32
#define FIRST_DIGEST (4 + 10 + 4)	/* output block, response's header, size of its parameters */

static const char *const texts[] = {"boot stage 1", "boot stage 2", "GRUB core"};

static uint32_t log_response(const uint8_t *block, const char *text)
{
	struct digests digests;

	if (get_le16(block) > RESPONSE_SIZE ||
	    tpm_read_digests(block + FIRST_DIGEST, block + get_le16(block), &digests))
		return TCG_REFUSED;
	return eventlog_append(TPM_20, BOOT_PCR, &digests, text);
}

uint32_t handover_log(void)
{
	uint8_t header[8];
	unsigned what, count;
	uint32_t result = 0;

	for (unsigned i = 0; i < sizeof(header); i++)
		header[i] = HANDOVER[i];
	count = get_le16(header + 6);
	if (get_le32(header) != MAGIC || count > MOST_RESPONSES)
		return 0;
	what = header[5] ? 0 : 1; /* from a CD, the firmware has measured the first stage */
	for (unsigned i = 0; i < count && result == 0; i++) {
		result = log_response(RESPONSES + i * RESPONSE_SIZE, texts[what]);
		if (what < 2)
			what++;
	}
	return result;
}

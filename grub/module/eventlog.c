/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "eventlog.h"

#define HEADER_12 32	/* PCR, type, SHA-1 digest, size of the data */
#define HEADER_20 16	/* PCR, type, number of digests; size of the data after them */
#define LOG_OVERFLOW 2

static uint8_t *put_header_12(uint8_t *to, uint32_t pcr, const uint8_t *digest, uint32_t size)
{
	to = put_le32(put_le32(to, pcr), EV_IPL);
	return put_le32(put_bytes(to, digest, 20), size);
}

static uint32_t append_12(uint32_t pcr, const uint8_t *digest, const char *text, uint32_t size)
{
	uint8_t *event = grub_malloc(HEADER_12 + size);
	uint32_t result;

	if (!event)
		return LOG_OVERFLOW;
	put_bytes(put_header_12(event, pcr, digest, size), text, size);
	result = tcg_log_event(event, HEADER_12 + size);
	grub_free(event);
	return result;
}

static void put_event_20(uint8_t *to, uint32_t pcr, const struct digests *digests, const char *text, uint32_t size)
{
	to = put_le32(put_le32(put_le32(to, pcr), EV_IPL), digests->count);
	for (unsigned i = 0; i < digests->count; i++) {
		to = put_le16(to, digests->list[i].algorithm);
		to = put_bytes(to, digests->list[i].value, digests->list[i].size);
	}
	put_bytes(put_le32(to, size), text, size);
}

/* Firmware of this age writes its log for SHA-1 only. So that it knows how long the log has become, it is told to append
   something as long as the event really is, and that is overwritten then. */
static uint32_t append_20(uint32_t pcr, const struct digests *digests, const char *text, uint32_t size)
{
	static const uint8_t no_digest[20];
	uint32_t length = HEADER_20 + size, result;
	struct tcg_status status;
	uint8_t *placeholder;

	for (unsigned i = 0; i < digests->count; i++)
		length += 2 + digests->list[i].size;
	placeholder = grub_malloc(length);
	if (!placeholder)
		return LOG_OVERFLOW;
	put_header_12(placeholder, pcr, no_digest, length - HEADER_12);
	result = tcg_log_event(placeholder, length);
	grub_free(placeholder);
	if (result == 0)
		result = tcg_status(&status);
	if (result == 0)
		put_event_20(status.last_event, pcr, digests, text, size);
	return result;
}

uint32_t eventlog_append(enum tpm_kind kind, uint32_t pcr, const struct digests *digests, const char *text)
{
	uint32_t size = grub_strlen(text) + 1;

	if (kind == TPM_20)
		return append_20(pcr, digests, text, size);
	return append_12(pcr, digests->list[0].value, text, size);
}

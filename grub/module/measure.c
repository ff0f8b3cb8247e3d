/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "measure.h"
#include "eventlog.h"
#include "handover.h"

static enum tpm_kind kind;
static uint32_t failure; /* 0: none */

static grub_err_t fail(const char *what, const char *name)
{
	return grub_error(GRUB_ERR_BAD_DEVICE, "the TPM failed (%x) to measure: %s%s", failure, what, name);
}

void measure_begin(void)
{
	kind = tpm_find();
	if (kind == TPM_BROKEN)
		failure = TCG_REFUSED;
	else if (kind == TPM_20)
		failure = handover_log();
}

const char *measure_tpm_name(void)
{
	static const char *const names[] = {"none", "off", "1.2", "2.0", "broken"};

	return names[failure ? TPM_BROKEN : kind];
}

const char *measure_summary(void)
{
	static const char *const summaries[] = {
		"no TPM, nothing is measured",
		"the TPM is off, nothing is measured",
		"measured into the TPM 1.2",
		"measured into the TPM 2.0",
		"the TPM fails",
	};

	return summaries[failure ? TPM_BROKEN : kind];
}

grub_err_t measure_state(void)
{
	return failure ? fail("what came before", "") : GRUB_ERR_NONE;
}

grub_err_t measure(uint32_t pcr, const char *what, const char *name, const void *data, size_t size)
{
	size_t length = grub_strlen(what);
	struct digests digests;
	char *text;

	if (kind == TPM_NONE || kind == TPM_OFF)
		return GRUB_ERR_NONE;
	if (failure)
		return fail(what, name);
	text = grub_malloc(length + grub_strlen(name) + 1);
	if (!text) {
		failure = TCG_REFUSED;
		return fail(what, name);
	}
	grub_memmove(text, what, length);
	grub_memmove(text + length, name, grub_strlen(name) + 1);
	tpm_hash(data, size, &digests);
	failure = tpm_extend(pcr, &digests);
	if (failure == 0)
		failure = eventlog_append(kind, pcr, &digests, text);
	grub_free(text);
	return failure ? fail(what, name) : GRUB_ERR_NONE;
}

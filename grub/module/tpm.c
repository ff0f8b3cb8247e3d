/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tpm.h"

#define HEADER 10
#define TAG_12 0xc1
#define ORD_EXTEND 0x14
#define ORD_GET_RANDOM 0x46
#define RC_DEACTIVATED 6
#define RC_DISABLED 7
#define TAG_20 0x8001
#define TAG_20_SESSIONS 0x8002
#define CC_GET_CAPABILITY 0x17a
#define CC_PCR_EXTEND 0x182
#define CAP_PCRS 5
#define RS_PW 0x40000009u

struct bank {
	uint16_t algorithm;
	uint8_t size;
	const char *name;
	const struct gcry_md_spec *hash;
};

static struct bank banks[] = {
	{ALG_SHA1, 20, "sha1", NULL},
	{ALG_SHA256, 32, "sha256", NULL},
	{ALG_SHA384, 48, "sha384", NULL},
	{ALG_SHA512, 64, "sha512", NULL},
};
#define KNOWN_BANKS (sizeof(banks) / sizeof(banks[0]))

static enum tpm_kind kind;
static struct bank *active[KNOWN_BANKS];
static unsigned active_count;

static struct bank *bank_of(uint16_t algorithm)
{
	for (unsigned i = 0; i < KNOWN_BANKS; i++)
		if (banks[i].algorithm == algorithm)
			return &banks[i];
	return NULL;
}

static uint8_t *put_header(uint8_t *to, uint16_t tag, uint32_t size, uint32_t code)
{
	return put_be32(put_be32(put_be16(to, tag), size), code);
}

/* Sends a command whose header is already there. Returns 0, the firmware's result, or the TPM's. */
static uint32_t send(const uint8_t *command, size_t size, uint8_t *response, size_t *response_size)
{
	uint32_t result = tcg_pass_through(command, size, response, response_size);

	if (result)
		return result;
	return *response_size < HEADER ? TCG_REFUSED : get_be32(response + 6);
}

static int activate(uint16_t algorithm)
{
	struct bank *bank = bank_of(algorithm);

	if (bank)
		bank->hash = grub_crypto_lookup_md_by_name(bank->name);
	if (!bank || !bank->hash || active_count == KNOWN_BANKS)
		return -1;
	active[active_count++] = bank;
	return 0;
}

/* Reads the TPML_PCR_SELECTION in a response: a bank is active if it has any PCR. */
static int activate_selected(const uint8_t *at, const uint8_t *end)
{
	uint32_t count;

	if (end - at < 4)
		return -1;
	count = get_be32(at);
	at += 4;
	while (count--) {
		uint16_t algorithm;
		uint8_t size, used = 0;

		if (end - at < 3 || end - at - 3 < at[2])
			return -1;
		algorithm = get_be16(at);
		size = at[2];
		for (at += 3; size--; at++)
			used |= *at;
		if (used && activate(algorithm))
			return -1;
	}
	return active_count ? 0 : -1;
}

static enum tpm_kind find_20(const uint8_t *response, size_t size)
{
	/* after the header: more data (one byte), capability (four) */
	if (get_be32(response + 6) || size < HEADER + 5)
		return TPM_BROKEN;
	return activate_selected(response + HEADER + 5, response + size) ? TPM_BROKEN : TPM_20;
}

static enum tpm_kind find_12(void)
{
	uint8_t command[HEADER + 4], response[LONGEST_COMMAND];
	size_t size;

	put_be32(put_header(command, TAG_12, sizeof(command), ORD_GET_RANDOM), 1);
	switch (send(command, sizeof(command), response, &size)) {
	case 0:
		return activate(ALG_SHA1) ? TPM_BROKEN : TPM_12;
	case RC_DEACTIVATED:
	case RC_DISABLED:
		return TPM_OFF;
	default:
		return TPM_BROKEN;
	}
}

enum tpm_kind tpm_find(void)
{
	uint8_t command[HEADER + 12], response[LONGEST_COMMAND], *at;
	struct tcg_status status;
	size_t size;

	kind = TPM_NONE;
	active_count = 0;
	if (tcg_status(&status))
		return kind;
	at = put_header(command, TAG_20, sizeof(command), CC_GET_CAPABILITY);
	put_be32(put_be32(put_be32(at, CAP_PCRS), 0), 1);
	if (tcg_pass_through(command, sizeof(command), response, &size) == 0 && size >= HEADER &&
	    get_be16(response) == TAG_20)
		kind = find_20(response, size);
	else
		kind = find_12();
	return kind;
}

void tpm_hash(const void *data, size_t size, struct digests *digests)
{
	digests->count = active_count;
	for (unsigned i = 0; i < active_count; i++) {
		digests->list[i].algorithm = active[i]->algorithm;
		digests->list[i].size = active[i]->size;
		grub_crypto_hash(active[i]->hash, digests->list[i].value, data, size);
	}
}

uint32_t tpm_extend(uint32_t pcr, const struct digests *digests)
{
	uint8_t command[HEADER + 21 + MOST_BANKS * (2 + LONGEST_DIGEST)], response[LONGEST_COMMAND];
	uint8_t *at = put_be32(command + HEADER, pcr);
	size_t size;

	if (kind == TPM_20) {
		at = put_be32(at, 9);
		at = put_bytes(put_be32(at, RS_PW), "\0\0\0\0\0", 5);
		at = put_be32(at, digests->count);
	}
	for (unsigned i = 0; i < digests->count; i++) {
		if (kind == TPM_20)
			at = put_be16(at, digests->list[i].algorithm);
		at = put_bytes(at, digests->list[i].value, digests->list[i].size);
	}
	if (kind == TPM_20)
		put_header(command, TAG_20_SESSIONS, at - command, CC_PCR_EXTEND);
	else
		put_header(command, TAG_12, at - command, ORD_EXTEND);
	return send(command, at - command, response, &size);
}

int tpm_read_digests(const uint8_t *at, const uint8_t *end, struct digests *digests)
{
	if (end - at < 4)
		return -1;
	digests->count = get_be32(at);
	at += 4;
	if (digests->count > MOST_BANKS)
		return -1;
	for (unsigned i = 0; i < digests->count; i++) {
		struct digest *digest = &digests->list[i];
		struct bank *bank = end - at < 2 ? NULL : bank_of(get_be16(at));

		if (!bank || end - at - 2 < bank->size)
			return -1;
		digest->algorithm = bank->algorithm;
		digest->size = bank->size;
		put_bytes(digest->value, at + 2, bank->size);
		at += 2 + bank->size;
	}
	return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What extends, extends PCR 16 (debug), and is in the log as it must be: a boot may go on after the check.
 */
#include "checker.h"
#include "eventlog.h"

#define DEBUG_PCR 16
#define NO_SUCH_PCR 99
#define UNSUPPORTED 3
#define EV_COMPACT_HASH 0x0c
#define SHA1_SIZE 20
#define EVENT_DIGEST 8 /* where it is in an event */

static const char sample[] = "Bootproof: TCG BIOS check";
#define SAMPLE_SIZE (sizeof(sample) - 1)

enum verdict { RIGHT, WRONG, OPTIONAL, LEFT_OUT };

struct result {
	enum verdict verdict;
	const char *reason;
	uint32_t code;
};

static enum tpm_kind kind;
static struct grub_command *command;

static struct result right(const char *reason) { return (struct result){RIGHT, reason, 0}; }
static struct result wrong(const char *reason, uint32_t code) { return (struct result){WRONG, reason, code}; }

static void sample_digest(uint8_t digest[SHA1_SIZE])
{
	grub_crypto_hash(grub_crypto_lookup_md_by_name("sha1"), digest, sample, SAMPLE_SIZE);
}

/* Reads PCR 16 (of the SHA-1 bank); returns -1 if there is none. */
static int read_pcr(uint8_t value[SHA1_SIZE])
{
	static const uint8_t read_12[] = {0, 0xc1, 0, 0, 0, 14, 0, 0, 0, 0x15, 0, 0, 0, DEBUG_PCR};
	static const uint8_t read_20[] = {0x80, 1, 0,    0,        0, 20, 0, 0, 1, 0x7e, /* TPM2_PCR_Read */
					  0,    0, 0, 1, 0, ALG_SHA1, 3, 0, 0, 1};
	uint8_t response[LONGEST_COMMAND];
	const uint8_t *command_bytes = kind == TPM_20 ? read_20 : read_12;
	size_t size, length = kind == TPM_20 ? sizeof(read_20) : sizeof(read_12);

	if (tcg_pass_through(command_bytes, length, response, &size) || get_be32(response + 6) || size < 10 + SHA1_SIZE)
		return -1;
	grub_memmove(value, response + size - SHA1_SIZE, SHA1_SIZE);
	return 0;
}

/* Did the PCR go from `before` to what the sample's digest makes of it, and is that what the log's last event says? */
static struct result extended(const uint8_t before[SHA1_SIZE], const uint8_t *last_event, uint32_t type)
{
	uint8_t joined[2 * SHA1_SIZE], wanted[SHA1_SIZE], now[SHA1_SIZE];
	struct tcg_status status;

	grub_memmove(joined, before, SHA1_SIZE);
	sample_digest(joined + SHA1_SIZE);
	grub_crypto_hash(grub_crypto_lookup_md_by_name("sha1"), wanted, joined, sizeof(joined));
	if (read_pcr(now) || grub_memcmp(now, wanted, SHA1_SIZE))
		return wrong("the PCR is not extended as it should be", 0);
	if (tcg_status(&status) || status.last_event == last_event)
		return wrong("nothing is logged", 0);
	if (get_le32(status.last_event) != DEBUG_PCR || get_le32(status.last_event + 4) != type ||
	    grub_memcmp(status.last_event + EVENT_DIGEST, joined + SHA1_SIZE, SHA1_SIZE))
		return wrong("the log has another event", 0);
	return right("extends and logs");
}

static struct result check_status(void)
{
	struct tcg_status status;
	uint32_t code = tcg_status(&status);

	if (code)
		return wrong("refused", code);
	if (status.major != 1 || status.minor != 2)
		return wrong("is not of version 1.2", status.major << 8 | status.minor);
	return status.log && status.last_event ? right("version 1.2") : wrong("does not say where the log is", 0);
}

static struct result check_extend(void)
{
	uint8_t event[32 + SAMPLE_SIZE] = {0}, block[24], output[8], before[SHA1_SIZE], *at = block;
	struct grub_bios_int_registers registers = {0};
	struct tcg_status status;
	uint32_t code;

	put_le32(put_le32(event, DEBUG_PCR), EV_IPL);
	put_bytes(put_le32(event + 28, SAMPLE_SIZE), sample, SAMPLE_SIZE);
	at = put_le32(at, sizeof(block));
	at = put_le32(put_le32(at, (uint32_t)sample), SAMPLE_SIZE);
	put_le32(put_le32(put_le32(at, DEBUG_PCR), (uint32_t)event), sizeof(event));
	if (tcg_status(&status) || read_pcr(before))
		return wrong("cannot be checked without PCR 16", 0);
	code = tcg_call(TCG_HASH_LOG_EXTEND_EVENT, &registers, block, sizeof(block), output, sizeof(output));
	return code ? wrong("refused", code) : extended(before, status.last_event, EV_IPL);
}

static struct result check_pass_through(void)
{
	uint8_t value[SHA1_SIZE];

	return read_pcr(value) ? wrong("PCR 16 cannot be read", 0) : right("passes commands and responses");
}

/* The event is extended first, and its record mended where the firmware writes it for a TPM 1.2. */
static struct result check_log(void)
{
	struct digests digests;
	struct tcg_status before, after;
	uint32_t code;

	tpm_hash(sample, SAMPLE_SIZE, &digests);
	code = tcg_status(&before);
	if (code == 0)
		code = tpm_extend(DEBUG_PCR, &digests);
	if (code == 0)
		code = eventlog_append(kind, DEBUG_PCR, &digests, sample);
	if (code == 0)
		code = tcg_status(&after);
	if (code)
		return wrong("refused", code);
	if (before.last_event == after.last_event || get_le32(after.last_event) != DEBUG_PCR)
		return wrong("nothing is logged", 0);
	return right(kind == TPM_20 ? "logs (records of a TPM 2.0 are mended)" : "logs");
}

static struct result check_hash(void)
{
	uint8_t block[16], output[SHA1_SIZE], wanted[SHA1_SIZE], *at = block;
	struct grub_bios_int_registers registers = {0};
	uint32_t code;

	at = put_le32(at, sizeof(block));
	put_le32(put_le32(put_le32(at, (uint32_t)sample), SAMPLE_SIZE), ALG_SHA1);
	code = tcg_call(TCG_HASH_ALL, &registers, block, sizeof(block), output, sizeof(output));
	if (code)
		return wrong("refused", code);
	sample_digest(wanted);
	return grub_memcmp(output, wanted, SHA1_SIZE) ? wrong("gives another digest", 0) : right("hashes");
}

static struct result check_tss(void)
{
	uint8_t block[8] = {8}, output[8];
	struct grub_bios_int_registers registers = {0};
	uint32_t code = tcg_call(TCG_TSS, &registers, block, sizeof(block), output, sizeof(output));

	if (code == 0)
		return right("supported");
	if (code == UNSUPPORTED)
		return (struct result){OPTIONAL, "not supported, which is allowed", code};
	return wrong("neither works nor says that it is not supported", code);
}

static struct result check_compact(void)
{
	struct grub_bios_int_registers registers = {.ecx = SAMPLE_SIZE, .edx = DEBUG_PCR, .esi = TCG_MAGIC};
	struct grub_bios_int_registers refused = {.ecx = SAMPLE_SIZE, .edx = NO_SUCH_PCR, .esi = TCG_MAGIC};
	uint8_t before[SHA1_SIZE];
	struct tcg_status status;
	uint32_t code;

	if (tcg_status(&status) || read_pcr(before))
		return wrong("cannot be checked without PCR 16", 0);
	code = tcg_call(TCG_COMPACT, &registers, sample, SAMPLE_SIZE, NULL, 0);
	if (code)
		return wrong("refused", code);
	if (tcg_call(TCG_COMPACT, &refused, sample, SAMPLE_SIZE, NULL, 0) == 0)
		return wrong("takes a PCR that does not exist", 0);
	return extended(before, status.last_event, EV_COMPACT_HASH);
}

static struct result check_unknown(void)
{
	struct grub_bios_int_registers registers = {0};
	uint32_t code = tcg_call(0x42, &registers, NULL, 0, NULL, 0);

	return code ? right("refused") : wrong("an unknown function is done", 0);
}

static struct result check_shutdown(void)
{
	struct grub_bios_int_registers registers = {0};
	uint8_t value[SHA1_SIZE];
	uint32_t code = tcg_call(TCG_SHUTDOWN, &registers, NULL, 0, NULL, 0);

	if (code)
		return wrong("refused", code);
	return read_pcr(value) ? right("nothing is passed on any more") : wrong("functions still work", 0);
}

static struct result leave_shutdown_out(void)
{
	return (struct result){LEFT_OUT, "left out (tcgbios shutdown does it)", 0};
}

static int report(const char *name, struct result result)
{
	static const char *const words[] = {"ok  ", "BAD ", "-   ", "-   "};

	grub_printf("  %s %s  %s", words[result.verdict], name, result.reason);
	if (result.code)
		grub_printf(" (%x)", result.code);
	grub_printf("\n");
	grub_refresh();
	return result.verdict == WRONG;
}

static grub_err_t check_all(struct grub_command *self, int count, char **words)
{
	unsigned bad = 0;
	int shutdown = count == 1 && grub_strlen(words[0]) == 8 && grub_memcmp(words[0], "shutdown", 8) == 0;

	(void)self;
	if (count && !shutdown)
		return grub_error(GRUB_ERR_BAD_ARGUMENT, "tcgbios [shutdown]");
	kind = tpm_find();
	if (kind != TPM_12 && kind != TPM_20) {
		grub_printf("tcgbios: %s\n", kind == TPM_NONE ? "no TPM, or no TCG BIOS"
					    : kind == TPM_OFF ? "the TPM is disabled or deactivated"
							      : "the TPM does not answer as it should");
		return GRUB_ERR_NONE;
	}
	grub_printf("Functions of the TCG BIOS (INT 1Ah, AH=BBh), TPM %s:\n", kind == TPM_20 ? "2.0" : "1.2");
	bad += report("00 StatusCheck              ", check_status());
	bad += report("01 HashLogExtendEvent       ", check_extend());
	bad += report("02 PassThroughToTPM         ", check_pass_through());
	bad += report("04 HashLogEvent             ", check_log());
	bad += report("05 HashAll                  ", check_hash());
	bad += report("06 TSS                      ", check_tss());
	bad += report("07 CompactHashLogExtendEvent", check_compact());
	bad += report("42 unknown function         ", check_unknown());
	bad += report("03 ShutdownPreBootInterface ", shutdown ? check_shutdown() : leave_shutdown_out());
	if (bad)
		grub_printf("tcgbios: %u not as the specification wants\n", bad);
	else
		grub_printf("tcgbios: all as the specification wants\n");
	return GRUB_ERR_NONE;
}

void checker_begin(void)
{
	command = grub_register_command_prio("tcgbios", check_all, "[shutdown]", "Check the firmware's TCG functions.", 0);
}

void checker_end(void)
{
	grub_unregister_command(command);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tcgbios.h"

/* GRUB keeps 64 KB at 0x68000 for calls of firmware (GRUB_MEMORY_MACHINE_SCRATCH_ADDR). */
#define SCRATCH ((uint8_t *)0x68000)
#define SCRATCH_SEGMENT 0x6800
#define OUTPUT_OFFSET 0x8000
#define INPUT_HEADER 8
#define OUTPUT_HEADER 4

uint16_t get_le16(const uint8_t *from) { return from[0] | from[1] << 8; }
uint32_t get_le32(const uint8_t *from) { return get_le16(from) | (uint32_t)get_le16(from + 2) << 16; }
uint16_t get_be16(const uint8_t *from) { return from[0] << 8 | from[1]; }
uint32_t get_be32(const uint8_t *from) { return (uint32_t)get_be16(from) << 16 | get_be16(from + 2); }

uint8_t *put_le16(uint8_t *to, uint16_t value)
{
	*to++ = value;
	*to++ = value >> 8;
	return to;
}

uint8_t *put_le32(uint8_t *to, uint32_t value) { return put_le16(put_le16(to, value), value >> 16); }

uint8_t *put_be16(uint8_t *to, uint16_t value)
{
	*to++ = value >> 8;
	*to++ = value;
	return to;
}

uint8_t *put_be32(uint8_t *to, uint32_t value) { return put_be16(put_be16(to, value >> 16), value); }

uint8_t *put_bytes(uint8_t *to, const void *bytes, size_t size)
{
	grub_memmove(to, bytes, size);
	return to + size;
}

uint32_t tcg_call(unsigned function, struct grub_bios_int_registers *registers, const void *input, size_t size, void *output,
		  size_t room)
{
	if (size > OUTPUT_OFFSET || room > OUTPUT_OFFSET)
		return TCG_REFUSED;
	grub_memmove(SCRATCH, input, size);
	registers->eax = 0xbb00 | function;
	registers->ebx = TCG_MAGIC;
	registers->es = registers->ds = SCRATCH_SEGMENT;
	registers->edi = 0;
	if (function != TCG_COMPACT)
		registers->esi = OUTPUT_OFFSET;
	registers->flags = FLAG_INTERRUPT;
	grub_bios_interrupt(0x1a, registers);
	grub_memmove(output, SCRATCH + OUTPUT_OFFSET, room);
	return registers->flags & FLAG_CARRY ? TCG_REFUSED : registers->eax;
}

uint32_t tcg_status(struct tcg_status *status)
{
	struct grub_bios_int_registers registers = {0};
	uint32_t result = tcg_call(TCG_STATUS_CHECK, &registers, NULL, 0, NULL, 0);

	if (result == 0 && registers.ebx != TCG_MAGIC)
		result = TCG_REFUSED;
	status->major = registers.ecx >> 8;
	status->minor = registers.ecx;
	status->features = registers.edx;
	status->log = (uint8_t *)registers.esi;
	status->last_event = (uint8_t *)registers.edi;
	return result;
}

uint32_t tcg_pass_through(const void *command, size_t size, uint8_t *response, size_t *response_size)
{
	static uint8_t block[INPUT_HEADER + LONGEST_COMMAND];
	struct grub_bios_int_registers registers = {0};
	uint8_t *at = block;
	uint32_t result;

	if (size > LONGEST_COMMAND)
		return TCG_REFUSED;
	at = put_le16(at, INPUT_HEADER + size);
	at = put_le16(at, 0);
	at = put_le16(at, OUTPUT_HEADER + LONGEST_COMMAND);
	at = put_le16(at, 0);
	put_bytes(at, command, size);
	result = tcg_call(TCG_PASS_THROUGH, &registers, block, INPUT_HEADER + size, block, OUTPUT_HEADER + LONGEST_COMMAND);
	if (result)
		return result;
	*response_size = get_le16(block) - OUTPUT_HEADER;
	if (*response_size > LONGEST_COMMAND)
		return TCG_REFUSED;
	put_bytes(response, block + OUTPUT_HEADER, *response_size);
	return 0;
}

uint32_t tcg_log_event(const uint8_t *event, size_t size)
{
	uint8_t block[28], output[8], *at = block;
	struct grub_bios_int_registers registers = {0};

	at = put_le16(at, sizeof(block));
	at = put_le16(at, 0);
	at = put_le32(at, 0); /* nothing to hash: the event has its digest */
	at = put_le32(at, 0);
	at = put_le32(at, get_le32(event));
	at = put_le32(at, get_le32(event + 4));
	at = put_le32(at, (uint32_t)event);
	put_le32(at, size);
	return tcg_call(TCG_HASH_LOG_EVENT, &registers, block, sizeof(block), output, sizeof(output));
}

/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The firmware's TCG functions, INT 1Ah with AH = BBh.
 * Source: TCG PC Client Specific Implementation Specification for Conventional BIOS 1.21, "Application Level Interface".
 */
#ifndef BOOTPROOF_TCGBIOS_H
#define BOOTPROOF_TCGBIOS_H

#include "abi.h"

enum {
	TCG_STATUS_CHECK = 0,
	TCG_HASH_LOG_EXTEND_EVENT = 1,
	TCG_PASS_THROUGH = 2,
	TCG_SHUTDOWN = 3,
	TCG_HASH_LOG_EVENT = 4,
	TCG_HASH_ALL = 5,
	TCG_TSS = 6,
	TCG_COMPACT = 7,
};

#define TCG_MAGIC 0x41504354u
#define TCG_REFUSED 0xffffffffu	/* of ours: the firmware does not know the function */
#define LONGEST_COMMAND 0x1000	/* bytes, of commands and responses */

struct tcg_status {
	uint8_t major, minor;
	uint32_t features;
	uint8_t *log, *last_event;
};

/* Call a function: input block at ES:DI, output block at DS:SI. Returns EAX, or TCG_REFUSED if carry is set. */
uint32_t tcg_call(unsigned function, struct grub_bios_int_registers *registers, const void *input, size_t size, void *output,
		  size_t room);

/* Returns 0 if there are TCG functions and a TPM. */
uint32_t tcg_status(struct tcg_status *status);

/* Sends a command to the TPM; returns 0 and the size of the response, at most LONGEST_COMMAND. */
uint32_t tcg_pass_through(const void *command, size_t size, uint8_t *response, size_t *response_size);

/* Has the firmware append an event to its log. `event` is what the log will hold: number of the PCR, type, digest (20
   bytes), size of the data, data. */
uint32_t tcg_log_event(const uint8_t *event, size_t size);

/* Numbers as they stand in memory, little or big endian, at any address. */
uint16_t get_le16(const uint8_t *from);
uint32_t get_le32(const uint8_t *from);
uint16_t get_be16(const uint8_t *from);
uint32_t get_be32(const uint8_t *from);
uint8_t *put_le16(uint8_t *to, uint16_t value);
uint8_t *put_le32(uint8_t *to, uint32_t value);
uint8_t *put_be16(uint8_t *to, uint16_t value);
uint8_t *put_be32(uint8_t *to, uint32_t value);
uint8_t *put_bytes(uint8_t *to, const void *bytes, size_t size);

#endif

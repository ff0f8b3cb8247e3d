/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The part of GRUB's module interface that this module uses, for i386-pc: GRUB is not built here, and its headers are not
 * packaged. It holds for the versions the builder accepts, 2.06 and 2.12, which differ in the numbers of file types
 * (GRUB_ABI, from the suite's modinfo.sh). A module with the wrong numbers would load and measure wrongly.
 */
#ifndef BOOTPROOF_ABI_H
#define BOOTPROOF_ABI_H

/* There is no library, nor its headers: the compiler knows these types by itself. */
typedef __UINT8_TYPE__ uint8_t;
typedef __UINT16_TYPE__ uint16_t;
typedef __UINT32_TYPE__ uint32_t;
typedef __SIZE_TYPE__ size_t;
#define NULL ((void *)0)

#if GRUB_ABI == 206
#define TYPES_INSERTED 0
#elif GRUB_ABI == 212
#define TYPES_INSERTED 2 /* both before FSTEST */
#else
#error "GRUB_ABI has to be 206 or 212"
#endif

typedef int grub_err_t;
enum {
	GRUB_ERR_NONE = 0,
	GRUB_ERR_BAD_DEVICE = 13,
	GRUB_ERR_BAD_ARGUMENT = 18,
	GRUB_ERR_IO = 29,
};

/* enum grub_file_type; what the file is opened for */
enum {
	TYPE_GRUB_MODULE = 1,
	TYPE_LOOPBACK = 2,
	TYPE_LINUX_KERNEL = 3,
	TYPE_LINUX_INITRD = 4,
	TYPE_MULTIBOOT_KERNEL = 5,
	TYPE_MULTIBOOT_MODULE = 6,
	TYPE_GET_SIZE = 35,
	TYPE_FSTEST = 38 + TYPES_INSERTED,
	TYPE_CONFIG = 51 + TYPES_INSERTED,
	TYPE_FS_SEARCH = 54 + TYPES_INSERTED,
	TYPE_MASK = 0xffff,
};

enum { VERIFY_SKIP = 1, VERIFY_SINGLE_CHUNK = 2 };	/* enum grub_verify_flags */
enum { STRING_KERNEL, STRING_MODULE, STRING_COMMAND };	/* enum grub_verify_string_type */

struct grub_file {
	char *name; /* with the device in front if one was given */
};

struct grub_file_verifier {
	struct grub_file_verifier *next;
	struct grub_file_verifier **prev;
	const char *name;
	grub_err_t (*init)(struct grub_file *file, unsigned type, void **context, unsigned *flags);
	grub_err_t (*write)(void *context, void *data, size_t size);
	grub_err_t (*fini)(void *context);
	void (*close)(void *context);
	grub_err_t (*verify_string)(char *text, unsigned type);
};

struct grub_bios_int_registers {
	uint32_t eax;
	uint16_t es, ds, flags, unused;
	uint32_t ebx, ecx, edi, esi, edx;
};

#define FLAG_CARRY 1
#define FLAG_INTERRUPT 0x200

struct grub_command;
struct gcry_md_spec;
struct grub_preboot;
typedef grub_err_t (*command_function)(struct grub_command *command, int count, char **words);

extern struct grub_file_verifier *grub_file_verifiers;

void grub_bios_interrupt(uint8_t number, struct grub_bios_int_registers *registers) __attribute__((regparm(3)));
grub_err_t grub_error(grub_err_t code, const char *format, ...);
int grub_printf(const char *format, ...);
void grub_refresh(void);
void *grub_memmove(void *to, const void *from, size_t size);
int grub_memcmp(const void *a, const void *b, size_t size);
size_t grub_strlen(const char *text);
char *grub_strdup(const char *text);
void grub_free(void *memory);
void *grub_malloc(size_t size);
grub_err_t grub_env_set(const char *name, const char *value);
const struct gcry_md_spec *grub_crypto_lookup_md_by_name(const char *name);
void grub_crypto_hash(const struct gcry_md_spec *hash, void *digest, const void *data, size_t size);
struct grub_command *grub_register_command_prio(const char *name, command_function function, const char *summary,
						const char *description, int priority);
void grub_unregister_command(struct grub_command *command);
struct grub_preboot *grub_loader_register_preboot_hook(grub_err_t (*hook)(int no_return), grub_err_t (*undo)(void),
						       int priority);
void grub_loader_unregister_preboot_hook(struct grub_preboot *hook);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "verifier.h"
#include "measure.h"

#define MENU_PCR 5
#define LOADED_PCR 8
#define PREBOOT_PRIORITY 400 /* that of an ordinary hook */

static const struct {
	unsigned type;
	uint32_t pcr;
	const char *name;
} kinds[] = {
	{TYPE_CONFIG, MENU_PCR, "menu "},
	{TYPE_LINUX_KERNEL, LOADED_PCR, "kernel "},
	{TYPE_LINUX_INITRD, LOADED_PCR, "initrd "},
	{TYPE_MULTIBOOT_KERNEL, LOADED_PCR, "kernel "},
	{TYPE_MULTIBOOT_MODULE, LOADED_PCR, "boot module "},
	{TYPE_GRUB_MODULE, LOADED_PCR, "GRUB module "},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* A file is opened and, if it is to be measured, read into memory as a whole: what is used is what was measured. */
struct opened {
	uint32_t pcr;
	const char *kind;
	char *name;
};

static struct grub_preboot *preboot;

/* Not opened for their content: to ask whether they exist or how long they are, or as a disk whose files are measured when
   they are opened. */
static int is_without_content(unsigned type)
{
	return type == TYPE_FS_SEARCH || type == TYPE_GET_SIZE || type == TYPE_FSTEST || type == TYPE_LOOPBACK;
}

/* The same file has the same name on every medium. */
static const char *without_device(const char *name)
{
	if (*name == '(')
		while (*name && *name++ != ')')
			;
	return name;
}

static grub_err_t open_file(struct grub_file *file, unsigned type, void **context, unsigned *flags)
{
	struct opened *opened;

	*context = NULL;
	type &= TYPE_MASK;
	if (is_without_content(type)) {
		*flags = VERIFY_SKIP;
		return GRUB_ERR_NONE;
	}
	*flags = VERIFY_SINGLE_CHUNK;
	opened = grub_malloc(sizeof(*opened));
	if (!opened)
		return grub_error(GRUB_ERR_IO, "no memory to measure %s", file->name);
	opened->pcr = LOADED_PCR;
	opened->kind = "file ";
	for (unsigned i = 0; i < KINDS; i++)
		if (kinds[i].type == type) {
			opened->pcr = kinds[i].pcr;
			opened->kind = kinds[i].name;
		}
	opened->name = grub_strdup(file->name ? without_device(file->name) : "");
	if (!opened->name) {
		grub_free(opened);
		return grub_error(GRUB_ERR_IO, "no memory to measure a file");
	}
	*context = opened;
	return GRUB_ERR_NONE;
}

static grub_err_t measure_file(void *context, void *data, size_t size)
{
	const struct opened *opened = context;

	return measure(opened->pcr, opened->kind, opened->name, data, size);
}

static void close_file(void *context)
{
	struct opened *opened = context;

	if (opened)
		grub_free(opened->name);
	grub_free(opened);
}

/* The same texts as those of GRUB's own module for UEFI, which verifiers know. */
static grub_err_t measure_string(char *text, unsigned type)
{
	size_t size = grub_strlen(text);

	switch (type) {
	case STRING_COMMAND:
		return measure(MENU_PCR, "grub_cmd: ", text, text, size);
	case STRING_KERNEL:
		grub_printf("GRUB-IMA: %s\n", measure_summary());
		grub_refresh();
		return measure(LOADED_PCR, "kernel_cmdline: ", text, text, size);
	default:
		return measure(LOADED_PCR, "module_cmdline: ", text, text, size);
	}
}

/* GRUB goes on when a command could not be measured; nothing is started then. */
static grub_err_t before_start(int no_return)
{
	(void)no_return;
	return measure_state();
}

static grub_err_t not_started(void)
{
	return GRUB_ERR_NONE;
}

static struct grub_file_verifier verifier = {
	.name = "ima",
	.init = open_file,
	.write = measure_file,
	.close = close_file,
	.verify_string = measure_string,
};

void verifier_begin(void)
{
	verifier.next = grub_file_verifiers;
	verifier.prev = &grub_file_verifiers;
	if (verifier.next)
		verifier.next->prev = &verifier.next;
	grub_file_verifiers = &verifier;
	preboot = grub_loader_register_preboot_hook(before_start, not_started, PREBOOT_PRIORITY);
}

void verifier_end(void)
{
	grub_loader_unregister_preboot_hook(preboot);
	*verifier.prev = verifier.next;
	if (verifier.next)
		verifier.next->prev = verifier.prev;
}

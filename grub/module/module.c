/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The GRUB module `ima`: with it, GRUB measures what it reads and does into the TPM. It belongs into GRUB's core image.
 * The variable `ima_tpm` tells menus what kind of TPM there is: none, off, 1.2, 2.0, or broken.
 */
#include "checker.h"
#include "measure.h"
#include "verifier.h"

static const char license[] __attribute__((section(".module_license"), used)) = "LICENSE=GPLv3+";

void grub_mod_init(void *module);
void grub_mod_fini(void);

void grub_mod_init(void *module)
{
	(void)module;
	measure_begin();
	grub_env_set("ima_tpm", measure_tpm_name());
	verifier_begin();
	checker_begin();
}

void grub_mod_fini(void)
{
	checker_end();
	verifier_end();
}

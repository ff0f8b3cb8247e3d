/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * GRUB's hooks: each file that is opened for its content, each command, each kernel's command line is measured.
 *
 * PCR 5: menus and commands. PCR 8: everything else.
 */
#ifndef BOOTPROOF_VERIFIER_H
#define BOOTPROOF_VERIFIER_H

void verifier_begin(void);
void verifier_end(void);

#endif

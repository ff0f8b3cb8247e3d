/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The command `tcgbios`: exercises the firmware's TCG functions and says which of them do what the specification wants.
 */
#ifndef BOOTPROOF_CHECKER_H
#define BOOTPROOF_CHECKER_H

void checker_begin(void);
void checker_end(void);

#endif

# SPDX-License-Identifier: GPL-3.0-or-later
# Greet once per console, not in every shell below it.
if [ -z "$BOOTPROOF_GREETED" ] && [ -t 1 ]; then
	export BOOTPROOF_GREETED=1
	/usr/local/lib/bootproof/banner
fi

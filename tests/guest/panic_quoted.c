/*
 * panic_quoted.c - a panic that is only quoted, as `dmesg` or `cat` may, is none: afterwards the
 * guest goes on, and powers off (end=0) or reboots (end=1) in good order.
 */
#include "guest.h"

void guest_main(void)
{
	put("$ cat /var/crash/last\r\n"
	    "[    0.512345] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n"
	    "[    0.512346] CPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.1.0 #1\r\n"
	    "[    0.512347] ---[ end Kernel panic - not syncing: VFS: Unable to mount root fs "
	    "]---\r\n"
	    "$ ");
	if (option("end", 0) == 1) {
		put("reboot\r\n[  100.000000] reboot: Restarting system\r\n");
		out8(0x64, 0xfe);
		stop();
	}
	power_off();
}

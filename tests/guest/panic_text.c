/*
 * panic_text.c - a kernel that can report its panic by the console alone, then: hangs (end=0, as
 * with panic=0), resets at once (end=1, panic=-1), or triple faults (end=2, when even the reset
 * fails).
 */
#include "guest.h"

void guest_main(void)
{
	const uint64_t end = option("end", 0);

	put("[    0.512345] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n"
	    "[    0.512346] CPU: 0 PID: 1 Comm: swapper/0 Not tainted 6.1.0 #1\r\n");
	if (end == 1)
		out8(0x64, 0xfe);
	if (end == 2)
		__asm__ volatile("push $0\n\tpush $0\n\tlidt (%rsp)\n\tud2");
	put("[    0.512347] ---[ end Kernel panic - not syncing: VFS: Unable to mount root fs "
	    "]---\r\n");
	stop();
}

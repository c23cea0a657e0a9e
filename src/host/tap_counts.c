/*
 * tap_counts.c - what an interface of the host has counted.
 *
 * Life of a VM: opened with the tap, while there are names; read by those descriptors whenever
 * somebody asks, on the loop.
 *
 * Source: Linux, Documentation/ABI/testing/sysfs-class-net-statistics.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>
#include <vmm/host/tap_counts.h>

#define TEXT_SIZE 32u

static const char *const names[TAP_COUNTS] = {
	[TAP_RX_FRAMES] = "statistics/rx_packets",  [TAP_RX_BYTES] = "statistics/rx_bytes",
	[TAP_TX_FRAMES] = "statistics/tx_packets",  [TAP_TX_BYTES] = "statistics/tx_bytes",
	[TAP_RX_DROPPED] = "statistics/rx_dropped", [TAP_TX_DROPPED] = "statistics/tx_dropped",
};

static int open_file(const struct tap *t, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", t->name, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* By the call that disks use, too. */
static bool read_text(int fd, char text[TEXT_SIZE])
{
	struct iovec iov = { text, TEXT_SIZE - 1 };
	ssize_t n = fd < 0 ? -1 : preadv2(fd, &iov, 1, 0, 0);

	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static bool read_number(int fd, uint64_t *n)
{
	char text[TEXT_SIZE];

	if (!read_text(fd, text))
		return false;
	*n = strtoull(text, NULL, 10);
	return true;
}

static bool says(const struct tap *t, const char *name, const char *expected)
{
	char text[TEXT_SIZE];
	int fd = open_file(t, name);
	bool same = read_text(fd, text) && strcmp(text, expected) == 0;

	if (fd >= 0)
		close(fd);
	return same;
}

/* What is mounted at /sys may be of another network namespace, with another interface so called. */
static bool is_here(const struct tap *t)
{
	char index[TEXT_SIZE], address[TEXT_SIZE];
	const uint8_t *a;
	struct ifreq r = { 0 };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", t->name);
	if (ioctl(t->sock, SIOCGIFHWADDR, &r) < 0)
		return false;
	a = (const uint8_t *)r.ifr_hwaddr.sa_data;
	snprintf(index, sizeof(index), "%u\n", t->index);
	snprintf(address, sizeof(address), "%02x:%02x:%02x:%02x:%02x:%02x\n", a[0], a[1], a[2],
		 a[3], a[4], a[5]);
	return says(t, "ifindex", index) && says(t, "address", address);
}

void tap_counts_init(struct tap_counts *c)
{
	*c = (struct tap_counts){ 0 };
	for (unsigned int i = 0; i < TAP_COUNTS; i++)
		c->fds[i] = -1;
}

void tap_counts_open(struct tap_counts *c, const struct tap *t)
{
	bool here = is_here(t);

	for (unsigned int i = 0; i < TAP_COUNTS; i++) {
		c->fds[i] = here ? open_file(t, names[i]) : -1;
		if (!read_number(c->fds[i], &c->before[i]))
			c->before[i] = 0;
	}
}

void tap_counts_close(struct tap_counts *c)
{
	for (unsigned int i = 0; i < TAP_COUNTS; i++) {
		if (c->fds[i] >= 0)
			close(c->fds[i]);
		c->fds[i] = -1;
	}
}

uint64_t tap_count(const struct tap_counts *c, enum tap_count what)
{
	uint64_t now;

	return read_number(c->fds[what], &now) ? now - c->before[what] : 0;
}

/*
 * test_net_tap.c - taps of the kernel, in a network namespace of the test's own.
 *
 * Where the host lets nobody make one, only what needs none is tested, and that is said.
 */
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/tap.h>
#include <vmm/host/tap_counts.h>
#include <vmm/net/netif.h>

#define PROTOCOL 0x88b5 /* IEEE 802: for experiments */

static struct evloop *loop;
static struct err e;
static struct netif *n;
static unsigned int n_readable, n_link;

static void on_readable(void *arg, unsigned int pair)
{
	(void)arg, (void)pair;
	n_readable++;
	n->ops->watch(n, 0, 0);
}

static void on_writable(void *arg, unsigned int pair)
{
	(void)arg, (void)pair;
}

static void on_link(void *arg)
{
	(void)arg;
	n_link++;
}

static const struct netif_events events = { on_readable, on_writable, on_link };

static bool try_namespace(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* false: there is no way. */
static bool setup(void)
{
	if (!try_namespace()) {
		fprintf(stderr, "net_tap: no namespace and no /dev/net/tun to be had: not run\n");
		return false;
	}
	log_set_level(LOG_ERROR);
	ck_ok(evloop_create(&loop, &e));
	return true;
}

static void teardown(void)
{
	netif_destroy(n);
	evloop_destroy(loop);
}

static int start(const char *text)
{
	struct net_spec spec;
	int rc;

	ck_ok(net_spec_parse(&spec, text, &e));
	rc = netif_open(&n, &spec, "net0", loop, &e);
	net_spec_fini(&spec);
	if (rc == 0)
		n->events = &events;
	return rc;
}

static void stop_loop(void *arg)
{
	evloop_stop(arg);
}

static void run_ms(unsigned int ms)
{
	struct ev_timer t = { .fn = stop_loop, .arg = loop };

	evloop_timer_set(loop, &t, evloop_now_ns() + ms * NS_PER_MS);
	evloop_run(loop);
}

/* A persistent tap, as an administrator makes it. */
static void make_tap(const char *name, int flags)
{
	struct ifreq r = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | flags) };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	ck_assert_int_eq(ioctl(fd, TUNSETIFF, &r), 0);
	ck_assert_int_eq(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
}

static void set_up(const char *name, bool up)
{
	struct ifreq r = { .ifr_flags = up ? IFF_UP : 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
}

/* The host's side of the interface, for frames of PROTOCOL. */
static int packet_socket(const char *name)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET,
				 .sll_protocol = htons(PROTOCOL),
				 .sll_ifindex = (int)if_nametoindex(name) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(PROTOCOL));

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void make_frame(uint8_t *frame, size_t len)
{
	memset(frame, 0xff, 6);
	for (size_t i = 6; i < len; i++)
		frame[i] = (uint8_t)i;
	frame[6] = 2;
	frame[12] = PROTOCOL >> 8;
	frame[13] = PROTOCOL & 0xff;
}

static enum netif_sent send_frame(const uint8_t *header, uint8_t *frame, size_t len)
{
	struct iovec iov[3] = { { (void *)(uintptr_t)header, NETIF_HDR_LEN },
				{ frame, 5 },
				{ frame + 5, len - 5 } };

	return n->ops->send(n, 0, iov, 3);
}

/* A frame of PROTOCOL; others (the host's IPv6) are skipped. 0: none. */
static size_t receive(uint8_t *out)
{
	static uint8_t room[NETIF_HDR_LEN + NETIF_FRAME_MAX + 1];
	struct iovec iov[2] = { { room, NETIF_HDR_LEN },
				{ room + NETIF_HDR_LEN, NETIF_FRAME_MAX + 1 } };
	size_t len;

	do {
		len = n->ops->receive(n, 0, iov, 2);
	} while (len > 0 && (room[NETIF_HDR_LEN + 12] << 8 | room[NETIF_HDR_LEN + 13]) != PROTOCOL);
	if (len > 0)
		memcpy(out, room + NETIF_HDR_LEN, len - NETIF_HDR_LEN);
	return len > 0 ? len - NETIF_HDR_LEN : 0;
}

START_TEST(a_free_name_is_found_brought_up_and_gone_at_the_end)
{
	struct netif *first;
	uint8_t a[6], b[6];

	if (!setup())
		return;
	ck_ok(start("tap"));
	first = n;
	ck_assert_uint_ne(if_nametoindex("vmtap0"), 0);
	ck_assert(n->link_up);
	ck_ok(start("tap"));
	ck_assert_uint_ne(if_nametoindex("vmtap1"), 0);
	net_mac(a, first->seed);
	net_mac(b, n->seed);
	ck_assert(memcmp(a, b, 6) != 0);
	netif_destroy(first);
	ck_assert_uint_eq(if_nametoindex("vmtap0"), 0);
	netif_destroy(n);
	ck_assert_uint_eq(if_nametoindex("vmtap1"), 0);
	ck_ok(start("tap")); /* and so the same name gives the same address */
	net_mac(b, n->seed);
	ck_assert_mem_eq(a, b, 6);
	teardown();
}
END_TEST

START_TEST(frames_pass_both_ways)
{
	static const uint8_t header[NETIF_HDR_LEN];
	uint8_t frame[1514], got[NETIF_FRAME_MAX + 1];
	int fd;

	if (!setup())
		return;
	ck_ok(start("tap=tapx"));
	fd = packet_socket("tapx");
	make_frame(frame, sizeof(frame));
	ck_assert_int_eq(send_frame(header, frame, sizeof(frame)), NETIF_SENT);
	ck_assert_int_eq(recv(fd, got, sizeof(got), 0), sizeof(frame));
	ck_assert_mem_eq(got, frame, sizeof(frame));
	ck_assert_int_eq(write(fd, frame, 700), 700);
	n->ops->watch(n, 0, EPOLLIN);
	run_ms(20);
	ck_assert_uint_gt(n_readable, 0);
	ck_assert_uint_eq(receive(got), 700);
	ck_assert_mem_eq(got, frame, 700);
	ck_assert_uint_eq(receive(got), 0);
	close(fd);
	teardown();
}
END_TEST

START_TEST(what_the_kernel_refuses_is_dropped)
{
	const struct virtio_net_hdr_v1 odd = { .gso_type = 0x55, .gso_size = 1 };
	uint8_t frame[60];

	if (!setup())
		return;
	ck_ok(start("tap"));
	make_frame(frame, sizeof(frame));
	ck_assert_int_eq(send_frame((const uint8_t *)&odd, frame, sizeof(frame)), NETIF_DROPPED);
	teardown();
}
END_TEST

START_TEST(offloads_are_there_and_can_be_switched)
{
	if (!setup())
		return;
	ck_ok(start("tap"));
	ck_assert_uint_eq(n->offloads, NETIF_CSUM | NETIF_TSO4 | NETIF_TSO6 | NETIF_ECN);
	n->ops->set_offloads(n, n->offloads);
	n->ops->set_offloads(n, 0);
	teardown();
}
END_TEST

START_TEST(the_link_follows_the_interface)
{
	if (!setup())
		return;
	make_tap("tapx", 0);
	ck_ok(start("tap=tapx"));
	ck_assert(!n->link_up); /* what is there already is left as it is */
	set_up("tapx", true);
	run_ms(50);
	ck_assert(n->link_up);
	ck_assert_uint_eq(n_link, 1);
	set_up("tapx", false);
	run_ms(50);
	ck_assert(!n->link_up);
	netif_destroy(n);
	n = NULL;
	ck_assert_uint_ne(if_nametoindex("tapx"), 0); /* not ours: it stays */
	teardown();
}
END_TEST

START_TEST(frames_while_the_interface_is_down_are_dropped)
{
	static const uint8_t header[NETIF_HDR_LEN];
	uint8_t frame[60];

	if (!setup())
		return;
	ck_ok(start("tap=tapx"));
	set_up("tapx", false);
	make_frame(frame, sizeof(frame));
	ck_assert_int_eq(send_frame(header, frame, sizeof(frame)), NETIF_DROPPED);
	teardown();
}
END_TEST

START_TEST(an_interface_that_is_deleted_takes_the_link_down_and_no_time)
{
	static const uint8_t header[NETIF_HDR_LEN];
	uint8_t frame[NETIF_FRAME_MAX + 1];

	if (!setup())
		return;
	ck_ok(start("tap=tapx"));
	n->ops->watch(n, 0, EPOLLIN);
	ck_assert_int_eq(system("ip link delete tapx"), 0);
	run_ms(50);
	ck_assert(!n->link_up);
	n_readable = 0;
	n->ops->watch(n, 0, EPOLLIN | EPOLLOUT);
	run_ms(20);
	ck_assert_uint_eq(n_readable, 0);
	make_frame(frame, 60);
	ck_assert_int_eq(send_frame(header, frame, 60), NETIF_DROPPED);
	ck_assert_uint_eq(receive(frame), 0);
	n->ops->set_offloads(n, NETIF_CSUM);
	n->ops->set_pairs(n, 1);
	teardown();
}
END_TEST

START_TEST(queues_are_attached_and_detached)
{
	if (!setup())
		return;
	ck_ok(start("tap,queues=4"));
	ck_assert_uint_eq(n->n_pairs, 4);
	for (unsigned int pair = 0; pair < 4; pair++)
		n->ops->watch(n, pair, EPOLLIN);
	n->ops->set_pairs(n, 4);
	n->ops->set_pairs(n, 2);
	n->ops->set_pairs(n, 3);
	run_ms(20);
	ck_assert(n->link_up);
	n->ops->set_pairs(n, 1);
	run_ms(20);
	ck_assert(n->link_up);
	teardown();
}
END_TEST

START_TEST(a_tap_with_several_queues_may_be_used_with_one)
{
	if (!setup())
		return;
	make_tap("tapx", IFF_MULTI_QUEUE);
	ck_ok(start("tap=tapx"));
	netif_destroy(n);
	ck_ok(start("tap=tapx,queues=2"));
	teardown();
}
END_TEST

START_TEST(a_tap_with_one_queue_refuses_more_with_the_remedy)
{
	if (!setup())
		return;
	make_tap("tapx", 0);
	ck_fails(start("tap=tapx,queues=2"), -EINVAL, "multi_queue");
	evloop_destroy(loop);
}
END_TEST

START_TEST(what_is_no_tap_is_told)
{
	if (!setup())
		return;
	ck_fails(start("tap=lo"), -EINVAL, "lo is no tap");
	evloop_destroy(loop);
}
END_TEST

START_TEST(a_tap_in_use_is_told)
{
	if (!setup())
		return;
	ck_ok(start("tap=tapx"));
	ck_fails(start("tap=tapx"), -EBUSY, "in use");
	teardown();
}
END_TEST

/* Both from before it is opened, and those of the guest. */
START_TEST(an_interface_counts_from_when_it_is_opened)
{
	static const uint8_t header[NETIF_HDR_LEN];
	uint8_t frame[60];
	struct tap_counts counts;
	struct tap other;

	if (!setup())
		return;
	ck_ok(start("tap=tapx"));
	make_frame(frame, sizeof(frame));
	ck_assert_int_eq(send_frame(header, frame, sizeof(frame)), NETIF_SENT);
	other = (struct tap){ .name = "tapx", .index = if_nametoindex("tapx") };
	other.sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	tap_counts_init(&counts);
	tap_counts_open(&counts, &other); /* /sys is that of another network */
	ck_assert_int_lt(counts.fds[0], 0);
	ck_assert_uint_eq(tap_count(&counts, TAP_RX_FRAMES), 0);
	tap_counts_close(&counts);
	if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("sysfs", "/sys", "sysfs", 0, NULL) == 0) {
		tap_counts_open(&counts, &other);
		ck_assert_uint_eq(tap_count(&counts, TAP_RX_FRAMES), 0);
		ck_assert_int_eq(send_frame(header, frame, sizeof(frame)), NETIF_SENT);
		ck_assert_uint_eq(tap_count(&counts, TAP_RX_FRAMES), 1);
		ck_assert_uint_eq(tap_count(&counts, TAP_RX_BYTES), sizeof(frame));
		tap_counts_close(&counts);
	}
	close(other.sock);
	teardown();
}
END_TEST

START_TEST(the_mtu_is_set_and_told)
{
	if (!setup())
		return;
	ck_ok(start("tap=tapx"));
	ck_assert_uint_eq(n->mtu, 0);
	netif_destroy(n);
	make_tap("tapx", 0);
	ck_ok(start("tap=tapx,mtu=9000"));
	ck_assert_uint_eq(n->mtu, 9000);
	netif_destroy(n);
	ck_ok(start("tap=tapx"));
	ck_assert_uint_eq(n->mtu, 9000); /* what the interface has, if that is not the usual */
	netif_destroy(n);
	ck_fails(start("tap=tapx,mtu=65535"), -EINVAL, "68 to 65521");
	evloop_destroy(loop);
}
END_TEST

/* The socket ---------------------------------------------------------------------------------- */

static struct tap tap;
static struct tap_watch watch;
static unsigned int n_changed;

static void on_change(void *arg)
{
	(void)arg;
	n_changed++;
}

static void open_watched(void)
{
	ck_ok(tap_open(&tap, "tapx", 1, 0, &e));
	ck_ok(tap_watch_start(&watch, &tap, loop, on_change, NULL, &e));
	run_ms(20);
	n_changed = 0;
}

static void close_watched(void)
{
	tap_watch_stop(&watch);
	tap_close(&tap);
	evloop_destroy(loop);
}

/* type: RTM_GET*. An answer would be there when send() comes back. */
static bool is_answered(int sock, uint16_t type, uint16_t flags, int index)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg body; /* no shorter than that of other requests */
	} q = {
		.h = { .nlmsg_len = sizeof(q),
		       .nlmsg_type = type,
		       .nlmsg_flags = NLM_F_REQUEST | flags,
		       .nlmsg_seq = 1 },
		.body.ifi_index = index,
	};
	char buf[16384];

	ck_assert_int_eq(send(sock, &q, sizeof(q), 0), sizeof(q));
	return recv(sock, buf, sizeof(buf), MSG_DONTWAIT) > 0;
}

START_TEST(who_asks_the_taps_socket_about_the_host_gets_no_answer)
{
	static const uint16_t lists[] = { RTM_GETLINK,  RTM_GETADDR, RTM_GETROUTE,
					  RTM_GETNEIGH, RTM_GETRULE, RTM_GETSTATS };
	int plain;

	if (!setup())
		return;
	set_up("lo", true);
	open_watched();
	plain = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	for (unsigned int i = 0; i < ARRAY_SIZE(lists); i++) {
		ck_assert(is_answered(plain, lists[i], NLM_F_DUMP, 0)); /* it can be asked */
		ck_assert(!is_answered(tap.sock, lists[i], NLM_F_DUMP, 0));
		while (recv(plain, &(char){ 0 }, 1, MSG_DONTWAIT) > 0)
			;
	}
	ck_assert(is_answered(plain, RTM_GETLINK, 0, (int)tap.index));
	ck_assert(!is_answered(tap.sock, RTM_GETLINK, 0, (int)tap.index));
	ck_assert(!is_answered(tap.sock, RTM_GETLINK, NLM_F_ACK, 1));
	close(plain);
	close_watched();
}
END_TEST

START_TEST(the_filter_of_the_taps_socket_stays)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
	const struct sock_fprog let_in = { 1, &all };
	const int off = 0;

	if (!setup())
		return;
	open_watched();
	ck_assert_int_lt(
		setsockopt(tap.sock, SOL_SOCKET, SO_ATTACH_FILTER, &let_in, sizeof(let_in)), 0);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_lt(setsockopt(tap.sock, SOL_SOCKET, SO_DETACH_FILTER, &off, sizeof(off)), 0);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_lt(setsockopt(tap.sock, SOL_SOCKET, SO_LOCK_FILTER, &off, sizeof(off)), 0);
	ck_assert_int_eq(errno, EPERM);
	close_watched();
}
END_TEST

START_TEST(only_changes_of_this_interface_are_told)
{
	if (!setup())
		return;
	open_watched();
	make_tap("tapy", 0);
	set_up("tapy", true);
	set_up("lo", true);
	run_ms(50);
	ck_assert_uint_eq(n_changed, 0);
	set_up("tapx", false);
	run_ms(50);
	ck_assert_uint_gt(n_changed, 0);
	ck_assert(!tap_is_up(&tap));
	set_up("tapx", true);
	ck_assert(tap_is_up(&tap));
	ck_assert_int_eq(system("ip link set tapx down && ip link set tapx name tapz && "
				"ip link set tapz up"),
			 0);
	ck_assert(tap_is_up(&tap)); /* whatever it is called now */
	close_watched();
}
END_TEST

/* A process that stays where the interface is, with all rights: a byte takes it down or up. */
static int start_administrator(pid_t *pid)
{
	int pair[2];
	char byte;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	*pid = fork();
	if (*pid == 0) {
		close(pair[0]);
		while (read(pair[1], &byte, 1) == 1) {
			set_up("tapx", byte == 'u');
			ck_assert_int_eq(write(pair[1], &byte, 1), 1);
		}
		_exit(0);
	}
	close(pair[1]);
	return pair[0];
}

static void ask(int administrator, char what)
{
	ck_assert_int_eq(write(administrator, &what, 1), 1);
	ck_assert_int_eq(read(administrator, &what, 1), 1);
	run_ms(50);
}

/* Away from the interface, and as nobody where we are somebody. */
static void give_up_power(void)
{
	bool is_root = geteuid() == 0 && setgroups(0, NULL) == 0;

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ck_assert_uint_eq(if_nametoindex("tapx"), 0);
	if (!is_root)
		return;
	ck_assert_int_eq(setresgid(65534, 65534, 65534), 0);
	ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
}

START_TEST(a_tap_serves_a_process_that_has_left_its_network_and_given_up_its_power)
{
	static const uint8_t header[NETIF_HDR_LEN];
	uint8_t frame[60], got[NETIF_FRAME_MAX + 1];
	int administrator, status, fd;
	pid_t pid;

	if (!setup())
		return;
	ck_ok(start("tap=tapx,queues=4"));
	fd = packet_socket("tapx");
	administrator = start_administrator(&pid);
	give_up_power();
	ask(administrator, 'd');
	ck_assert(!n->link_up);
	ask(administrator, 'u');
	ck_assert(n->link_up);
	n->ops->set_offloads(n, n->offloads);
	n->ops->set_pairs(n, 4);
	n->ops->set_pairs(n, 1);
	(void)recv(fd, got, sizeof(got), MSG_DONTWAIT); /* it says once that it has been down */
	make_frame(frame, sizeof(frame));
	ck_assert_int_eq(send_frame(header, frame, sizeof(frame)), NETIF_SENT);
	ck_assert_int_eq(recv(fd, got, sizeof(got), 0), sizeof(frame));
	ck_assert_int_eq(write(fd, frame, sizeof(frame)), sizeof(frame));
	run_ms(20);
	ck_assert_uint_eq(receive(got), sizeof(frame));
	close(fd);
	close(administrator);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	teardown();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("net_tap");

	UNIT_TEST(s, a_free_name_is_found_brought_up_and_gone_at_the_end);
	UNIT_TEST(s, frames_pass_both_ways);
	UNIT_TEST(s, what_the_kernel_refuses_is_dropped);
	UNIT_TEST(s, offloads_are_there_and_can_be_switched);
	UNIT_TEST(s, the_link_follows_the_interface);
	UNIT_TEST(s, frames_while_the_interface_is_down_are_dropped);
	UNIT_TEST(s, an_interface_that_is_deleted_takes_the_link_down_and_no_time);
	UNIT_TEST(s, queues_are_attached_and_detached);
	UNIT_TEST(s, a_tap_with_several_queues_may_be_used_with_one);
	UNIT_TEST(s, a_tap_with_one_queue_refuses_more_with_the_remedy);
	UNIT_TEST(s, what_is_no_tap_is_told);
	UNIT_TEST(s, a_tap_in_use_is_told);
	UNIT_TEST(s, an_interface_counts_from_when_it_is_opened);
	UNIT_TEST(s, the_mtu_is_set_and_told);
	UNIT_TEST(s, who_asks_the_taps_socket_about_the_host_gets_no_answer);
	UNIT_TEST(s, the_filter_of_the_taps_socket_stays);
	UNIT_TEST(s, only_changes_of_this_interface_are_told);
	UNIT_TEST(s, a_tap_serves_a_process_that_has_left_its_network_and_given_up_its_power);
	return s;
}

UNIT_MAIN("net_tap", suite)

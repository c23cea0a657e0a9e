/*
 * test_net_spec.c - the value of --net: what is taken, and what is refused with which words.
 */
#include "unit.h"
#include <errno.h>
#include <stdio.h>
#include <vmm/base/util.h>
#include <vmm/net/net_spec.h>
#include <vmm/net/netif.h>

static struct net_spec s;
static struct err e;

START_TEST(every_kind_of_interface_is_understood)
{
	ck_ok(net_spec_parse(&s, "none", &e));
	ck_assert_int_eq(s.kind, NET_NONE);
	ck_ok(net_spec_parse(&s, "user", &e));
	ck_assert_int_eq(s.kind, NET_USER);
	ck_assert_ptr_null(s.publish);
	ck_ok(net_spec_parse(&s, "tap", &e));
	ck_assert_int_eq(s.kind, NET_TAP);
	ck_assert_ptr_null(s.target);
	ck_assert_uint_eq(s.n_pairs, 1);
	ck_ok(net_spec_parse(&s, "tap=tap0,queues=4", &e));
	ck_assert_str_eq(s.target, "tap0");
	ck_assert_uint_eq(s.n_pairs, 4);
	net_spec_fini(&s);
	ck_ok(net_spec_parse(&s, "unix=/run/,,,,a,,,mtu=1280", &e));
	ck_assert_str_eq(s.target, "/run/,,a,");
	ck_assert_uint_eq(s.mtu, 1280);
	net_spec_fini(&s);
	ck_ok(net_spec_parse(&s, "unix=/run/a b=c", &e));
	ck_assert_int_eq(s.kind, NET_UNIX);
	ck_assert_str_eq(s.target, "/run/a b=c");
	net_spec_fini(&s);
}
END_TEST

START_TEST(the_hosts_loopback_is_out_of_reach_unless_asked_for)
{
	ck_ok(net_spec_parse(&s, "user", &e));
	ck_assert(!s.host);
	ck_ok(net_spec_parse(&s, "user,host,mtu=1280", &e));
	ck_assert(s.host);
	ck_fails(net_spec_parse(&s, "user,host=yes", &e), -EINVAL, "host takes no value");
	ck_fails(net_spec_parse(&s, "tap,host", &e), -EINVAL, "only with user");
}
END_TEST

START_TEST(common_words_are_understood)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 0xab, 0xCD, 0xef };

	ck_ok(net_spec_parse(&s,
			     "tap,mac=52:54:00:aB:cd:EF,mtu=9000,bps=1M,burst=64K,pps=1000,"
			     "pps-burst=50",
			     &e));
	ck_assert(s.has_mac);
	ck_assert_mem_eq(s.mac, mac, 6);
	ck_assert_uint_eq(s.mtu, 9000);
	ck_assert_uint_eq(s.rate.bytes_per_s, 1 << 20);
	ck_assert_uint_eq(s.rate.bytes_burst, 64 << 10);
	ck_assert_uint_eq(s.rate.ops_per_s, 1000);
	ck_assert_uint_eq(s.rate.ops_burst, 50);
}
END_TEST

START_TEST(the_kernel_moves_frames_only_if_asked_to)
{
	ck_ok(net_spec_parse(&s, "tap=tap0", &e));
	ck_assert(!s.vhost);
	net_spec_fini(&s);
	ck_ok(net_spec_parse(&s, "tap=tap0,queues=2,vhost=on", &e));
	ck_assert(s.vhost);
	net_spec_fini(&s);
	ck_ok(net_spec_parse(&s, "tap=tap0,vhost=off,bps=1M", &e));
	ck_assert(!s.vhost);
	net_spec_fini(&s);
}
END_TEST

START_TEST(published_ports_are_understood)
{
	static const struct net_publish want[] = {
		{ .addr = "127.0.0.1", .host_port = 8080, .guest_port = 80 },
		{ .addr = "127.0.0.1", .host_port = 5353, .guest_port = 53, .udp = true },
		{ .addr = "0.0.0.0", .host_port = 65535, .guest_port = 1 },
		{ .addr = "192.0.2.1", .host_port = 8080, .guest_port = 80, .udp = true },
		{ .addr = "2001:db8::1", .host_port = 22, .guest_port = 2222 },
		{ .addr = "::", .host_port = 22, .guest_port = 22 },
	};
	const struct net_publish *p;

	ck_ok(net_spec_parse(&s,
			     "user,publish=8080:80,publish=udp:5353:53,publish=0.0.0.0:65535:1,"
			     "publish=udp:192.0.2.1:8080:80,publish=[2001:db8::1]:22:2222,"
			     "publish=tcp:[::]:22:22",
			     &e));
	p = s.publish;
	for (unsigned int i = 0; i < ARRAY_SIZE(want); i++, p = p->next) {
		ck_assert_ptr_nonnull(p);
		ck_assert_str_eq(p->addr, want[i].addr);
		ck_assert_int_eq(p->udp, want[i].udp);
		ck_assert_uint_eq(p->host_port, want[i].host_port);
		ck_assert_uint_eq(p->guest_port, want[i].guest_port);
	}
	ck_assert_ptr_null(p);
	net_spec_fini(&s);
}
END_TEST

static const struct {
	const char *text, *words;
	int code;
} refused[] = {
	{ "", "expected none, user", -EINVAL },
	{ "bridge", "expected none, user", -EINVAL },
	{ "mtu=9000", "expected none, user", -EINVAL },
	{ "user=x", "expected none, user", -EINVAL },
	{ "none=x", "expected none, user", -EINVAL },
	{ "none,mtu=9000", "no further words", -EINVAL },
	{ "tap=", "expected none, user", -EINVAL },
	{ "unix", "expected none, user", -EINVAL },
	{ "unix=", "expected none, user", -EINVAL },
	{ "tap=a/b", "1 to 15 bytes", -EINVAL },
	{ "tap=..", "1 to 15 bytes", -EINVAL },
	{ "tap=tap%d", "1 to 15 bytes", -EINVAL },
	{ "tap=0123456789abcdef", "1 to 15 bytes", -EINVAL },
	{ "unix=/0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
	  "2345678901234567890123456789",
	  "longer than 107", -ENAMETOOLONG },
	{ "user,", "unknown word ''", -EINVAL },
	{ "user,,", "expected none, user", -EINVAL },
	{ "user,publish", "publish= needs a value", -EINVAL },
	{ "user,publish=", "publish= needs a value", -EINVAL },
	{ "user,publsh=1:1", "did you mean publish=", -EINVAL },
	{ "user,queues=2", "only with tap", -EINVAL },
	{ "user,vhost=on", "only with tap", -EINVAL },
	{ "tap,vhost=yes", "expected on or off", -EINVAL },
	{ "tap,vhost", "vhost= needs a value", -EINVAL },
	{ "tap,vhost=on,bps=1M", "knows no bps= and pps=", -EINVAL },
	{ "tap,pps=1000,vhost=on", "knows no bps= and pps=", -EINVAL },
	{ "tap,publish=80:80", "only with user", -EINVAL },
	{ "unix=x,publish=80:80", "only with user", -EINVAL },
	{ "tap,queues=0", "1 to 8", -ERANGE },
	{ "tap,queues=9", "1 to 8", -ERANGE },
	{ "tap,queues=-1", "not a number", -EINVAL },
	{ "tap,mtu=67", "68 to 65535", -ERANGE },
	{ "tap,mtu=65536", "68 to 65535", -ERANGE },
	{ "user,mtu=65521", "68 to 65520", -ERANGE },
	{ "tap,mtu=1500,mtu=1500", "mtu= twice", -EINVAL },
	{ "tap,mac=52:54:00:12:34", "expected a form like", -EINVAL },
	{ "tap,mac=52:54:00:12:34:5", "expected a form like", -EINVAL },
	{ "tap,mac=52:54:00:12:34:5g", "expected a form like", -EINVAL },
	{ "tap,mac=52:54:00:12:34:56:", "expected a form like", -EINVAL },
	{ "tap,mac=52-54-00-12-34-56", "expected a form like", -EINVAL },
	{ "tap,mac=53:54:00:12:34:56", "first byte is even", -EINVAL },
	{ "tap,mac=00:00:00:00:00:00", "is not 0", -EINVAL },
	{ "user,publish=80", "HOSTPORT:GUESTPORT", -EINVAL },
	{ "user,publish=:80", "not a number", -EINVAL },
	{ "user,publish=80:", "not a number", -EINVAL },
	{ "user,publish=0:80", "port '0'", -ERANGE },
	{ "user,publish=80:65536", "port '65536'", -ERANGE },
	{ "user,publish=sctp:80:80", "is not an address", -EINVAL },
	{ "user,publish=localhost:80:80", "is not an address", -EINVAL },
	{ "user,publish=1.2.3:80:80", "is not an address", -EINVAL },
	{ "user,publish=::1:80:80", "is not an address", -EINVAL },
	{ "user,publish=[1.2.3.4]:80:80", "is not an address", -EINVAL },
	{ "user,publish=[::1:80:80", "is not an address", -EINVAL },
	{ "user,publish=:80:80", "is not an address", -EINVAL },
	{ "user,publish=80:80,publish=tcp:80:81", "port 80 twice", -EINVAL },
	{ "tap,bps=0", "1K to 16G", -ERANGE },
	{ "tap,bps=17G", "1K to 16G", -ERANGE },
	{ "tap,bps=x", "not a number", -EINVAL },
	{ "tap,burst=1M", "burst= needs bps=", -EINVAL },
	{ "tap,pps=0", "must be 1 to", -ERANGE },
	{ "tap,pps-burst=10", "pps-burst= needs pps=", -EINVAL },
};

START_TEST(what_makes_no_sense_is_refused_in_the_users_words)
{
	ck_fails(net_spec_parse(&s, refused[_i].text, &e), refused[_i].code, refused[_i].words);
	ck_assert_ptr_null(s.target);
	ck_assert_ptr_null(s.publish);
}
END_TEST

START_TEST(an_empty_spec_may_be_finished)
{
	s = (struct net_spec){ 0 };
	net_spec_fini(&s);
	net_spec_fini(&s);
}
END_TEST

START_TEST(the_same_seed_gives_the_same_local_unicast_address)
{
	char seed[32];
	uint8_t a[6], b[6], seen[256][6];

	for (unsigned int i = 0; i < 256; i++) {
		snprintf(seed, sizeof(seed), "tap tap%u", i);
		net_mac(a, seed);
		net_mac(b, seed);
		ck_assert_mem_eq(a, b, 6);
		ck_assert_uint_eq(a[0] & 3, 2);
		for (unsigned int j = 0; j < i; j++)
			ck_assert(memcmp(a, seen[j], 6) != 0);
		memcpy(seen[i], a, 6);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *t = suite_create("net_spec");

	UNIT_TEST(t, every_kind_of_interface_is_understood);
	UNIT_TEST(t, the_hosts_loopback_is_out_of_reach_unless_asked_for);
	UNIT_TEST(t, common_words_are_understood);
	UNIT_TEST(t, the_kernel_moves_frames_only_if_asked_to);
	UNIT_TEST(t, published_ports_are_understood);
	UNIT_LOOP(t, what_makes_no_sense_is_refused_in_the_users_words, ARRAY_SIZE(refused));
	UNIT_TEST(t, an_empty_spec_may_be_finished);
	UNIT_TEST(t, the_same_seed_gives_the_same_local_unicast_address);
	return t;
}

UNIT_MAIN("net_spec", suite)

/*
 * net_spec.c - the value of --net, taken apart.
 *
 * Life of a VM: while the command line is read. Main thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <vmm/base/bug.h>
#include <vmm/base/checked.h>
#include <vmm/base/opts.h>
#include <vmm/base/util.h>
#include <vmm/net/net_spec.h>

#define RATE_MAX (16 * GIB) /* a limit beyond that is none; see host/rate.c */

static int parse_port(const char *s, uint16_t *port, struct err *e)
{
	uint64_t n;

	if (opts_parse_uint(s, 1, UINT16_MAX, &n, e) < 0)
		return err_wrap(e, "port '%s'", s);
	*port = (uint16_t)n;
	return 0;
}

/* An address may stand in brackets; one of IPv6 must, because of its colons. */
static int parse_addr(char *s, char *out, size_t size, struct err *e)
{
	size_t len = strlen(s);
	uint8_t bin[16];
	bool six = false;

	if (len >= 2 && s[0] == '[' && s[len - 1] == ']') {
		s[len - 1] = '\0';
		s++;
		six = true;
	}
	if (inet_pton(six ? AF_INET6 : AF_INET, s, bin) != 1)
		return err_set(e, -EINVAL, "'%s' is not an address: 192.0.2.1, or [2001:db8::1]",
			       s);
	snprintf(out, size, "%s", s);
	return 0;
}

/* From the end: the guest's port, the host's port, and the rest is the address. */
static int parse_publish_text(struct net_publish *p, char *s, struct err *e)
{
	char *guest, *host;

	if (strncmp(s, "udp:", 4) == 0 || strncmp(s, "tcp:", 4) == 0) {
		p->udp = s[0] == 'u';
		s += 4;
	}
	guest = strrchr(s, ':');
	if (!guest)
		return err_set(e, -EINVAL, "expected [udp:][ADDR:]HOSTPORT:GUESTPORT");
	*guest++ = '\0';
	host = strrchr(s, ':');
	if (host)
		*host++ = '\0';
	if (parse_port(host ? host : s, &p->host_port, e) < 0 ||
	    parse_port(guest, &p->guest_port, e) < 0)
		return e->code;
	snprintf(p->addr, sizeof(p->addr), "127.0.0.1");
	return host ? parse_addr(s, p->addr, sizeof(p->addr), e) : 0;
}

static int set_publish(struct net_spec *s, char *value, struct err *e)
{
	static const char *const others[] = {
		[NET_TAP] = "a tap is reached by its own address",
		[NET_UNIX] = "a unix socket is reached by its own address",
		[NET_LOOP] = "a loop leads to nobody else",
	};
	struct net_publish *p, **at;

	if (s->kind != NET_USER)
		return err_set(e, -EINVAL, "only with user: %s", others[s->kind]);
	p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(e, -ENOMEM, "out of memory");
	if (parse_publish_text(p, value, e) < 0) {
		free(p);
		return e->code;
	}
	for (at = &s->publish; *at; at = &(*at)->next) {
		if ((*at)->udp == p->udp && (*at)->host_port == p->host_port &&
		    strcmp((*at)->addr, p->addr) == 0) {
			err_set(e, -EINVAL, "port %u twice", p->host_port);
			free(p);
			return e->code;
		}
	}
	*at = p;
	return 0;
}

static int set_host(struct net_spec *s, char *value, struct err *e)
{
	(void)value;
	if (s->kind != NET_USER)
		return err_set(e, -EINVAL, "only with user");
	s->host = true;
	return 0;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

static int set_mac(struct net_spec *s, char *value, struct err *e)
{
	static const uint8_t none[6];

	for (unsigned int i = 0; i < 6; i++) {
		const char *at = value + 3ul * i;
		int high, low;

		high = strlen(value) == 17 ? hex_digit(at[0]) : -1;
		low = high < 0 ? -1 : hex_digit(at[1]);
		if (low < 0 || (i < 5 && at[2] != ':'))
			return err_set(e, -EINVAL, "expected a form like 52:54:00:12:34:56");
		s->mac[i] = (uint8_t)(high << 4 | low);
	}
	if (s->mac[0] & 1 || memcmp(s->mac, none, 6) == 0)
		return err_set(e, -EINVAL,
			       "an interface's own address is not 0, and its first byte is even");
	s->has_mac = true;
	return 0;
}

static int set_mtu(struct net_spec *s, char *value, struct err *e)
{
	/* The most that passt does (passt(1), --mtu). */
	uint64_t max = s->kind == NET_USER ? 65520 : NET_MTU_MAX, n;

	if (opts_parse_uint(value, NET_MTU_MIN, max, &n, e) < 0)
		return e->code;
	s->mtu = (uint16_t)n;
	return 0;
}

static int set_queues(struct net_spec *s, char *value, struct err *e)
{
	uint64_t n;

	if (s->kind != NET_TAP)
		return err_set(e, -EINVAL, "only with tap: the others have one pair of queues");
	if (opts_parse_uint(value, 1, NET_MAX_PAIRS, &n, e) < 0)
		return e->code;
	s->n_pairs = (unsigned int)n;
	return 0;
}

static int set_vhost(struct net_spec *s, char *value, struct err *e)
{
	if (s->kind != NET_TAP)
		return err_set(e, -EINVAL, "only with tap: the host's kernel knows no other");
	s->vhost = strcmp(value, "on") == 0;
	if (!s->vhost && strcmp(value, "off") != 0)
		return err_set(e, -EINVAL, "expected on or off");
	return 0;
}

static int parse_bytes(const char *value, uint64_t *out, struct err *e)
{
	if (opts_parse_size(value, out, e) < 0)
		return e->code;
	if (*out == 0 || *out > RATE_MAX)
		return err_set(e, -ERANGE, "must be 1K to 16G");
	return 0;
}

static int set_bps(struct net_spec *s, char *value, struct err *e)
{
	return parse_bytes(value, &s->rate.bytes_per_s, e);
}

static int set_burst(struct net_spec *s, char *value, struct err *e)
{
	return parse_bytes(value, &s->rate.bytes_burst, e);
}

static int set_pps(struct net_spec *s, char *value, struct err *e)
{
	return opts_parse_uint(value, 1, 1000000000, &s->rate.ops_per_s, e);
}

static int set_pps_burst(struct net_spec *s, char *value, struct err *e)
{
	return opts_parse_uint(value, 1, 1000000000, &s->rate.ops_burst, e);
}

static const struct key {
	const char *name;
	int (*set)(struct net_spec *s, char *value, struct err *e);
} keys[] = {
	{ "publish", set_publish }, { "host", set_host },     { "mac", set_mac },
	{ "mtu", set_mtu },         { "queues", set_queues }, { "bps", set_bps },
	{ "burst", set_burst },     { "pps", set_pps },       { "pps-burst", set_pps_burst },
	{ "vhost", set_vhost },
};

static int unknown_key(const char *name, struct err *e)
{
	const char *names[ARRAY_SIZE(keys) + 1] = { NULL }, *near;

	for (unsigned int i = 0; i < ARRAY_SIZE(keys); i++)
		names[i] = keys[i].name;
	near = opts_nearest(name, names);
	if (near)
		return err_set(e, -EINVAL, "unknown word '%s'; did you mean %s=?", name, near);
	return err_set(
		e, -EINVAL,
		"unknown word '%s'; there are publish=, host, mac=, mtu=, queues=, vhost=, bps=, "
		"burst=, pps= and pps-burst=",
		name);
}

/* seen: one bit for each key; only publish= may come more than once. */
static int parse_item(struct net_spec *s, char *item, unsigned int *seen, struct err *e)
{
	char *value = strchr(item, '=');

	if (value)
		*value++ = '\0';
	for (unsigned int i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(item, keys[i].name) != 0)
			continue;
		if (keys[i].set == set_host && value)
			return err_set(e, -EINVAL, "%s takes no value", item);
		if (keys[i].set != set_host && (!value || !*value))
			return err_set(e, -EINVAL, "%s= needs a value", item);
		if (*seen >> i & 1 && keys[i].set != set_publish)
			return err_set(e, -EINVAL, "%s= twice", item);
		*seen |= 1u << i;
		if (keys[i].set(s, value, e) < 0)
			return err_wrap(e, "%s=", item);
		return 0;
	}
	return unknown_key(item, e);
}

static int check_target(const struct net_spec *s, struct err *e)
{
	const char *t = s->target;

	if (s->kind == NET_TAP && t &&
	    (strlen(t) >= IF_NAMESIZE || strpbrk(t, "/%: \t\n") || strcmp(t, ".") == 0 ||
	     strcmp(t, "..") == 0))
		return err_set(e, -EINVAL, "tap=%s: an interface's name has 1 to %u bytes, %s", t,
			       IF_NAMESIZE - 1, "and none of '/', '%', ':' and space");
	if (s->kind == NET_UNIX && t && strlen(t) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return err_set(e, -ENAMETOOLONG, "unix=%s: longer than %zu bytes", t,
			       sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
	return 0;
}

static int parse_kind(struct net_spec *s, char *item, struct err *e)
{
	static const struct {
		const char *name;
		enum net_kind kind;
		bool may_have, must_have; /* a target */
	} kinds[] = {
		{ "none", NET_NONE, false, false }, { "user", NET_USER, false, false },
		{ "tap", NET_TAP, true, false },    { "unix", NET_UNIX, true, true },
		{ "loop", NET_LOOP, false, false },
	};
	char *target = strchr(item, '=');

	if (target)
		*target++ = '\0';
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(item, kinds[i].name) != 0)
			continue;
		if (target ? !*target || !kinds[i].may_have : kinds[i].must_have)
			break;
		s->kind = kinds[i].kind;
		s->target = target ? strdup(target) : NULL;
		if (target && !s->target)
			return err_set(e, -ENOMEM, "out of memory");
		return check_target(s, e);
	}
	return err_set(e, -EINVAL, "expected none, user, tap, tap=NAME, unix=PATH or loop first");
}

static int check_rates(const struct net_spec *s, struct err *e)
{
	if (s->rate.bytes_burst && !s->rate.bytes_per_s)
		return err_set(e, -EINVAL, "burst= needs bps=");
	if (s->rate.ops_burst && !s->rate.ops_per_s)
		return err_set(e, -EINVAL, "pps-burst= needs pps=");
	if (s->vhost && (s->rate.bytes_per_s || s->rate.ops_per_s))
		return err_set(e, -EINVAL,
			       "vhost=on: the host's kernel knows no bps= and pps=: vhost=off, or "
			       "limit the interface (tc qdisc add dev NAME ...)");
	return 0;
}

/* Up to a comma, and what is behind it into *rest; two commas are one that belongs to the item. */
static char *next_item(char **rest)
{
	char *item = *rest, *from = item, *to = item;

	if (!item)
		return NULL;
	for (; *from && (*from != ',' || from[1] == ','); from++) {
		from += *from == ',';
		*to++ = *from;
	}
	*rest = *from ? from + 1 : NULL;
	*to = '\0';
	return item;
}

static int parse_items(struct net_spec *s, char *copy, struct err *e)
{
	char *rest = copy, *item = next_item(&rest);
	unsigned int seen = 0;

	VMM_BUG_ON(!item); /* there is a first one, if an empty one */
	if (parse_kind(s, item, e) < 0)
		return e->code;
	if (s->kind == NET_NONE && rest)
		return err_set(e, -EINVAL, "none takes no further words");
	while ((item = next_item(&rest))) {
		if (parse_item(s, item, &seen, e) < 0)
			return e->code;
	}
	return check_rates(s, e);
}

int net_spec_parse(struct net_spec *out, const char *text, struct err *e)
{
	char *copy = strdup(text);
	int rc;

	*out = (struct net_spec){ .n_pairs = 1 };
	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	rc = parse_items(out, copy, e);
	free(copy);
	if (rc < 0)
		net_spec_fini(out);
	return rc;
}

void net_spec_fini(struct net_spec *s)
{
	while (s->publish) {
		struct net_publish *p = s->publish;

		s->publish = p->next;
		free(p);
	}
	free(s->target);
	*s = (struct net_spec){ 0 };
}

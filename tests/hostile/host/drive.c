/*
 * drive.c - the host's side of the hostile driver: starts the VMM, plays the peers of its network
 * and its console, and watches it from outside while the guest does what no guest should.
 *
 *	drive OUT.json NAME GROW_MIB LOOP_MS -- CMD [ARG]...
 *
 * CMD runs in the current directory with its stdin and stdout here. It has two disks, ./disk.img
 *and
 * ./ro.img, connects to ./net.sock (--net unix=net.sock) and listens at ./con.sock (--console
 * unix=con.sock); all that comes there is given back. After each case of the guest (hostile.h has
 *the lines) /proc/PID of the VM's process is looked at, and one line is printed: "ok hostile: NAME
 *DEVICE CASE" or "FAIL hostile: NAME DEVICE CASE: why"; one line of JSON goes behind OUT.json.
 *
 * The bounds, beside GROW_MIB of memory more than at the first case and LOOP_MS of CPU time of the
 * main thread, which is the VMM's loop, for each case: THREADS_MORE_PER_CPU, FDS_MORE; and the loop
 *comes to rest when the guest does (R13). A guest that says nothing for SILENCE_MS has hung, or
 *hung the VMM. Exit status: 0 if every case has passed, the guest has said that it is done, and CMD
 *has ended with status 0.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECTORS 2048
#define SILENCE_MS 60000
#define THREADS_MORE_PER_CPU 8 /* two disks: io_uring has up to 4 workers a CPU for each */
#define FDS_MORE 4
#define REST_MS 10
#define REST_TRIES 200
#define REST_LOOKS 5
#define REST_LOOK_US 200 /* between two of them: long enough for a worker to wake it up */
#define LINE_MAX_BYTES 512
#define PEER_IN (512 * 1024)
#define PEER_OUT (8 * 1024 * 1024) /* more than a guest sends without reading */

struct sample {
	long rss_kib, hwm_kib, threads, fds;
	double cpu_ms, loop_ms;
};

struct peer { /* gives back what comes; what does not fit is lost */
	int listener, fd;
	bool frames; /* each behind its length, and lost as a whole */
	uint8_t in[PEER_IN], out[PEER_OUT];
	size_t n_in, n_out;
};

struct attempt { /* a case, while it runs */
	char rule[16], device[16], name[96], expected[32], outcome[32], works[8];
	bool running;
};

static const char *vm_name;
static long grow_kib, loop_ms_max;
static FILE *json;
static pid_t child, vm; /* the VM's process is a child of CMD's */
static int to_guest, from_guest;
static struct peer net = { .fd = -1, .frames = true }, console = { .listener = -1, .fd = -1 };
static struct attempt now;
static struct sample first, before;
static unsigned int n_cases, n_failed;
static bool done, silent;

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "drive: %s: %s\n", what, strerror(errno));
	if (child > 0)
		kill(child, SIGKILL);
	exit(2);
}

/* What the VMM costs ------------------------------------------------------------------------------
 */

static long status_field(const char *text, const char *field)
{
	const char *at = strstr(text, field);

	return at ? strtol(at + strlen(field), NULL, 10) : -1;
}

static size_t slurp(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "r");
	size_t n;

	buf[0] = '\0';
	if (!f)
		return 0;
	n = fread(buf, 1, size - 1, f);
	buf[n] = '\0';
	fclose(f);
	return n;
}

/* The younger of CMD's two children; the other one is there to tidy up. 0: there is none. */
static pid_t find_vm(void)
{
	char path[64], children[256], *at = children;
	long last = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)child, (int)child);
	slurp(path, children, sizeof(children));
	for (long pid = strtol(at, &at, 10); pid > 0; pid = strtol(at, &at, 10))
		last = pid;
	return (pid_t)last;
}

/* 0: only root may look into the jail, which has a limit for them. */
static long count_fds(void)
{
	char path[64];
	long n = -2; /* . and .. */
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)vm);
	d = opendir(path);
	if (!d && errno == EACCES)
		return 0;
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* The time that the main thread has been running, in ms. */
static double loop_time(void)
{
	char path[64], text[128];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", (int)vm, (int)vm);
	/* When it has ended, that is for judge_end() to say. */
	if (!slurp(path, text, sizeof(text)))
		return 0;
	return strtod(text, NULL) / 1e6;
}

static double process_time(void)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(vm, &clock) != 0 || clock_gettime(clock, &t) < 0)
		return 0;
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static struct sample look(void)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)vm);
	slurp(path, text, sizeof(text));
	return (struct sample){
		.rss_kib = status_field(text, "VmRSS:"),
		.hwm_kib = status_field(text, "VmHWM:"),
		.threads = status_field(text, "Threads:"),
		.fds = count_fds(),
		.cpu_ms = process_time(),
		.loop_ms = loop_time(),
	};
}

/* The peers
 * ---------------------------------------------------------------------------------------- */

static int listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
		die(path);
	return fd;
}

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	for (int i = 0; i < SILENCE_MS / 10; i++) {
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
			fcntl(fd, F_SETFL, O_NONBLOCK);
			return fd;
		}
		if (waitpid(child, &(int){ 0 }, WNOHANG) != 0) {
			child = 0;
			break;
		}
		usleep(10000);
	}
	die(path);
}

static void give_back(struct peer *p, size_t n)
{
	if (p->n_out + n <= sizeof(p->out)) {
		memcpy(p->out + p->n_out, p->in, n);
		p->n_out += n;
	}
	p->n_in -= n;
	memmove(p->in, p->in + n, p->n_in);
}

/* All frames that are whole. */
static void give_frames_back(struct peer *p)
{
	while (p->n_in >= 4) {
		const uint8_t *l = p->in;
		size_t n = 4 + ((size_t)l[0] << 24 | (size_t)l[1] << 16 | (size_t)l[2] << 8 | l[3]);

		if (n > sizeof(p->in)) {
			fprintf(stderr, "drive: the VMM has sent a frame of %zu bytes\n", n - 4);
			n_failed++;
			p->n_in = 0;
			return;
		}
		if (p->n_in < n)
			return;
		give_back(p, n);
	}
}

static void serve(struct peer *p, short events)
{
	ssize_t n;

	if (events & (POLLIN | POLLHUP)) {
		n = read(p->fd, p->in + p->n_in, sizeof(p->in) - p->n_in);
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			close(p->fd);
			p->fd = -1;
			return;
		}
		p->n_in += n > 0 ? (size_t)n : 0;
		if (p->frames)
			give_frames_back(p);
		else
			give_back(p, p->n_in);
	}
	n = p->n_out ? send(p->fd, p->out, p->n_out, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
	if (n > 0) {
		p->n_out -= (size_t)n;
		memmove(p->out, p->out + n, p->n_out);
	}
}

/* Serves everybody for at most `ms`; true: the guest has something to say. */
static bool serve_all(int ms)
{
	struct pollfd p[4] = {
		{ .fd = from_guest, .events = POLLIN },
		{ .fd = net.listener, .events = POLLIN },
		{ .fd = net.fd, .events = (short)(POLLIN | (net.n_out ? POLLOUT : 0)) },
		{ .fd = console.fd, .events = (short)(POLLIN | (console.n_out ? POLLOUT : 0)) },
	};

	if (poll(p, 4, ms) <= 0)
		return false;
	if (p[1].revents && net.fd < 0)
		net.fd = accept4(net.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (p[2].revents)
		serve(&net, p[2].revents);
	if (p[3].revents)
		serve(&console, p[3].revents);
	return p[0].revents;
}

static void serve_for(long ms)
{
	const long end = now_ms() + ms;

	while (now_ms() < end) {
		if (serve_all((int)(end - now_ms()))) /* the guest waits for us: it has ended */
			usleep(1000);
	}
}

/* Cases
 * -------------------------------------------------------------------------------------------- */

/* Does the main thread sleep? One that spins runs or waits for a processor, however busy the host
 * is. */
static bool loop_sleeps(void)
{
	char path[64], text[512];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)vm, (int)vm);
	slurp(path, text, sizeof(text));
	at = strrchr(text, ')');
	return at && at[1] && at[2] == 'S';
}

static bool loop_rests(void)
{
	unsigned int in_a_row = 0;

	for (int i = 0; i < REST_TRIES && in_a_row < REST_LOOKS; i++) {
		in_a_row = loop_sleeps() ? in_a_row + 1 : 0;
		if (in_a_row == 0)
			serve_for(REST_MS);
		else
			usleep(REST_LOOK_US);
	}
	return in_a_row == REST_LOOKS;
}

static const char *judge(const struct sample *s)
{
	static char why[160];

	why[0] = '\0';
	if (strcmp(now.outcome, now.expected) != 0)
		snprintf(why, sizeof(why), "expected %s, got %s", now.expected, now.outcome);
	else if (strcmp(now.works, "works") != 0)
		snprintf(why, sizeof(why), "the device does not work again after a reset");
	else if (s->hwm_kib > first.hwm_kib + grow_kib)
		snprintf(why, sizeof(why), "memory has grown from %ld to %ld KiB", first.hwm_kib,
			 s->hwm_kib);
	else if (s->threads > first.threads + THREADS_MORE_PER_CPU * sysconf(_SC_NPROCESSORS_ONLN))
		snprintf(why, sizeof(why), "%ld threads, %ld at first", s->threads, first.threads);
	else if (s->fds > first.fds + FDS_MORE)
		snprintf(why, sizeof(why), "%ld file descriptors, %ld at first", s->fds, first.fds);
	else if (s->loop_ms - before.loop_ms > (double)loop_ms_max)
		snprintf(why, sizeof(why), "%.0f ms of the loop's time",
			 s->loop_ms - before.loop_ms);
	else if (!loop_rests())
		snprintf(why, sizeof(why), "the loop does not come to rest");
	return why;
}

static void report(const struct sample *s, const char *why)
{
	json_t *j = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:f, s:f, s:b}", "case",
		now.name, "device", now.device, "transport", vm_name, "rule", now.rule, "expected",
		now.expected, "outcome", now.outcome, "works_after_reset",
		strcmp(now.works, "works") == 0, "rss_kib", (json_int_t)s->rss_kib, "hwm_kib",
		(json_int_t)s->hwm_kib, "threads", (json_int_t)s->threads, "fds",
		(json_int_t)s->fds, "cpu_ms", s->cpu_ms - before.cpu_ms, "loop_ms",
		s->loop_ms - before.loop_ms, "pass", !*why);

	n_cases++;
	n_failed += *why != '\0';
	json_dumpf(j, json, JSON_COMPACT | JSON_REAL_PRECISION(6));
	fputc('\n', json);
	json_decref(j);
	printf("%s hostile: %s %s %s%s%s\n", *why ? "FAIL" : "ok", vm_name, now.device, now.name,
	       *why ? ": " : "", why);
	fflush(stdout);
	now.running = false;
}

static void end_case(void)
{
	struct sample s = look();

	if (n_cases == 0)
		first = s;
	report(&s, judge(&s));
	before = look();
	if (write(to_guest, "\n", 1) != 1)
		die("writing to the guest");
}

static void take_line(const char *line)
{
	if (sscanf(line, "case %15s %15s %95s %31s", now.rule, now.device, now.name,
		   now.expected) == 4) {
		now.running = true;
		snprintf(now.outcome, sizeof(now.outcome), "none");
	} else if (now.running && sscanf(line, "is %31s %7s", now.outcome, now.works) == 2) {
		end_case();
	} else if (strcmp(line, "done") == 0) {
		done = true;
	} else {
		fprintf(stderr, "drive: the guest: %s\n", line);
	}
}

/* false: the guest has closed its console. */
static bool take_output(void)
{
	static char line[LINE_MAX_BYTES];
	static size_t len;
	char buf[4096];
	ssize_t n = read(from_guest, buf, sizeof(buf));

	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] == '\n') {
			line[len] = '\0';
			take_line(line);
			len = 0;
		} else if (len + 1 < sizeof(line)) {
			line[len++] = buf[i];
		}
	}
	return n > 0;
}

static void watch(void)
{
	long heard = now_ms();

	while (!silent) {
		if (serve_all(100)) {
			if (!take_output())
				return;
			heard = now_ms();
		}
		silent = now_ms() - heard > SILENCE_MS;
	}
	kill(child, SIGKILL);
}

/* What real.c expects: byte i of sector s is s + i. */
static void make_disk(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f)
		die(path);
	for (unsigned int i = 0; i < SECTORS * 512; i++)
		fputc((int)((i / 512 + i % 512) & 0xff), f);
	if (fclose(f) != 0)
		die(path);
}

static void start(char **command)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		die("pipe");
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		signal(SIGPIPE, SIG_DFL);
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execvp(command[0], command);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	to_guest = in[1];
	from_guest = out[0];
}

/* The case that ran when all ended, and whatever else is not as it should be. */
static void judge_end(int status)
{
	char why[128];

	if (now.running) {
		struct sample s = before;

		snprintf(why, sizeof(why), silent ? "no word for %d s" : "the VMM ended (%#x)",
			 silent ? SILENCE_MS / 1000 : status);
		report(&s, why);
	} else if (!done || status != 0) {
		printf("FAIL hostile: %s: after %u cases: %s, status %#x\n", vm_name, n_cases,
		       done ? "done" : "not done", status);
		n_failed++;
	}
}

int main(int argc, char **argv)
{
	int status;

	if (argc < 7 || strcmp(argv[5], "--") != 0) {
		fprintf(stderr, "usage: drive OUT.json NAME GROW_MIB LOOP_MS -- CMD [ARG]...\n");
		return 2;
	}
	vm_name = argv[2];
	grow_kib = atol(argv[3]) * 1024;
	loop_ms_max = atol(argv[4]);
	json = fopen(argv[1], "ae");
	if (!json)
		die(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	make_disk("disk.img");
	make_disk("ro.img");
	net.listener = listen_at("net.sock");
	start(argv + 6);
	console.fd = connect_to("con.sock");
	vm = find_vm();
	before = look();
	if (before.hwm_kib <= 0 || before.threads < 1 || before.fds < 0 || before.loop_ms <= 0)
		die("/proc tells no memory, threads, descriptors or schedstat of the VMM");
	watch();
	if (waitpid(child, &status, 0) < 0)
		die("waitpid");
	judge_end(status);
	fclose(json);
	return n_failed == 0 && n_cases > 0 ? 0 : 1;
}

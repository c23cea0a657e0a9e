/*
 * on-terminal.c - runs a command on a terminal of its own, plays its user, and looks at its
 *manners.
 *
 *	on-terminal [STEP]... -- CMD [ARG]...
 *
 * Steps, one after the other; each has TIMEOUT_MS to come true:
 *	wait TEXT	until TEXT has come out
 *	send TEXT	type TEXT; \xHH is a byte
 *	raw, cooked	until the terminal is in raw mode; out of it
 *	signal N	send the signal N to CMD
 * Then CMD has TIMEOUT_MS to end. What came out goes to stdout. The exit status is CMD's, 128+N for
 * signal N; 98: a step has failed; 97: the terminal was not left as it was found.
 */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <utmp.h>

#define TIMEOUT_MS 20000
#define STATUS_STEP 98
#define STATUS_TERMINAL 97
#define OUTPUT_MAX (1 << 20)

static int master, client; /* the client's end stays open here: its settings outlive CMD */
static pid_t child;
static char output[OUTPUT_MAX + 1];
static size_t n_output, n_matched; /* n_matched: up to where earlier waits have looked */

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Takes what has come out, waiting a little for it. */
static void take_output(int wait_ms)
{
	struct pollfd p = { .fd = master, .events = POLLIN };
	char buf[4096];
	ssize_t n;

	if (poll(&p, 1, wait_ms) <= 0)
		return;
	n = read(master, buf, sizeof(buf));
	for (ssize_t i = 0; i < n && n_output < OUTPUT_MAX; i++)
		output[n_output++] = buf[i] ? buf[i] : ' ';
	if (n > 0)
		fwrite(buf, 1, (size_t)n, stdout);
}

static bool text_came(const char *text)
{
	char *at;

	output[n_output] = '\0';
	at = strstr(output + n_matched, text);
	if (at)
		n_matched = (size_t)(at - output) + strlen(text);
	return at != NULL;
}

static bool is_raw(void)
{
	struct termios t;

	return tcgetattr(client, &t) == 0 && !(t.c_lflag & (ICANON | ECHO | ISIG));
}

static void send_text(const char *s)
{
	while (*s) {
		unsigned int byte = (unsigned char)*s;
		int len = 1;

		if (sscanf(s, "\\x%2x%n", &byte, &len) < 1)
			byte = (unsigned char)*s;
		s += len;
		if (write(master, &(unsigned char){ (unsigned char)byte }, 1) < 0)
			perror("on-terminal: write");
	}
}

static bool holds(const char *step, const char *arg)
{
	if (strcmp(step, "wait") == 0)
		return text_came(arg);
	if (strcmp(step, "raw") == 0)
		return is_raw();
	if (strcmp(step, "cooked") == 0)
		return !is_raw();
	if (strcmp(step, "send") == 0)
		send_text(arg);
	else if (strcmp(step, "signal") == 0)
		kill(child, atoi(arg));
	return true;
}

static void play(char **step)
{
	while (strcmp(*step, "--") != 0) {
		bool two = strcmp(*step, "raw") != 0 && strcmp(*step, "cooked") != 0;
		long end = now_ms() + TIMEOUT_MS;

		while (!holds(step[0], step[1])) {
			if (now_ms() > end) {
				fflush(stdout);
				fprintf(stderr, "on-terminal: in vain: %s %s\n", step[0],
					two ? step[1] : "");
				kill(child, SIGKILL);
				exit(STATUS_STEP);
			}
			take_output(20);
		}
		step += two ? 2 : 1;
	}
}

static int wait_for_end(void)
{
	long end = now_ms() + TIMEOUT_MS;
	int status;

	while (waitpid(child, &status, WNOHANG) == 0) {
		take_output(20);
		if (now_ms() > end) {
			fprintf(stderr, "on-terminal: the command does not end\n");
			kill(child, SIGKILL);
			exit(STATUS_STEP);
		}
	}
	for (size_t before = n_output + 1; before != n_output;) {
		before = n_output;
		take_output(0);
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool same_settings(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
	       a->c_lflag == b->c_lflag && memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

static char **find_command(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++) {
		if (strcmp(argv[i], "--") == 0)
			return argv + i + 1;
	}
	fprintf(stderr, "usage: on-terminal [STEP]... -- CMD [ARG]...\n");
	exit(STATUS_STEP);
}

int main(int argc, char **argv)
{
	char **command = find_command(argc, argv);
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	struct termios before, after;
	int status;

	if (openpty(&master, &client, NULL, NULL, &size) < 0 || tcgetattr(client, &before) < 0) {
		perror("on-terminal: no terminal");
		return STATUS_STEP;
	}
	child = fork();
	if (child == 0) {
		close(master);
		login_tty(dup(client));
		execvp(command[0], command);
		_exit(127);
	}
	play(argv + 1);
	status = wait_for_end();
	tcgetattr(client, &after);
	if (same_settings(&before, &after))
		return status;
	fprintf(stderr, "on-terminal: the command (status %d) has left the terminal changed\n",
		status);
	return STATUS_TERMINAL;
}

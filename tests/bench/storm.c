/*
 * storm.c - how fast many VMs start and end: `storm -n N -j AT-ONCE [-t SECONDS] -- COMMAND...`.
 *
 * Run by tests/bench/rate.sh. Starts COMMAND N times, AT-ONCE at a time, with nothing to read and
 * its output thrown away, and prints nanoseconds: "took" from the first start to the last end,
 * "cpu" of all of them and whatever they have waited for; "failed", how many ended with a status
 * but 0, or were killed after SECONDS. Each has a process group, which is killed at its end, and at
 * ours.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_CHILDREN 1000

static pid_t children[MAX_CHILDREN];
static volatile sig_atomic_t ended; /* by a signal */

static void on_signal(int number)
{
	ended = number;
}

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static long long nanoseconds(const struct timeval *t)
{
	return t->tv_sec * 1000000000ll + t->tv_usec * 1000ll;
}

static pid_t start(char **command)
{
	pid_t pid = fork();
	int null;

	if (pid != 0)
		return pid;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	null = open("/dev/null", O_RDWR);
	dup2(null, 0);
	dup2(null, 1);
	execvp(command[0], command);
	perror(command[0]);
	_exit(127);
}

static void kill_all(int n)
{
	for (int i = 0; i < n; i++)
		if (children[i] > 0)
			kill(-children[i], SIGKILL);
}

static void forget(pid_t pid, int n)
{
	kill(-pid, SIGKILL);
	for (int i = 0; i < n; i++)
		if (children[i] == pid)
			children[i] = 0;
}

/* Returns how many have failed. */
static int storm(char **command, int n, int at_once)
{
	int n_started = 0, n_running = 0, n_failed = 0, status;

	while (n_running || (n_started < n && !ended)) {
		pid_t pid;

		if (n_started < n && n_running < at_once && !ended) {
			children[n_started] = start(command);
			if (children[n_started++] > 0)
				n_running++;
			else
				n_failed++;
			continue;
		}
		pid = wait(&status);
		if (pid < 0) { /* interrupted */
			kill_all(n_started);
			continue;
		}
		forget(pid, n_started);
		n_running--;
		n_failed += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	}
	return n_failed + n - n_started;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	int n = 1, at_once = 1, seconds = 120, option, failed;
	struct rusage used;
	long long start_ns;

	while ((option = getopt(argc, argv, "+n:j:t:")) != -1) {
		if (option == 'n')
			n = atoi(optarg);
		else if (option == 'j')
			at_once = atoi(optarg);
		else if (option == 't')
			seconds = atoi(optarg);
		else
			return 99;
	}
	if (optind == argc || n < 1 || n > MAX_CHILDREN || at_once < 1)
		return 99;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	alarm((unsigned int)seconds);
	start_ns = now();
	failed = storm(argv + optind, n, at_once);
	printf("took %lld\n", now() - start_ns);
	getrusage(RUSAGE_CHILDREN, &used);
	printf("cpu %lld\n", nanoseconds(&used.ru_utime) + nanoseconds(&used.ru_stime));
	printf("failed %d\n", failed);
	return 0;
}

/*
 * test_kernel_cache.c - src/boot/kernel_cache.c: hits, misses, bad directories, full disks, races.
 *
 * Each test has a directory of its own as XDG_CACHE_HOME. Full disks and sudden deaths are played
 * by write() and fallocate() below, which take the place of the C library's in this program.
 */
#include "cached.h"
#include "unit.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vmm/base/bytes.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/boot/kernel_cache.h>
#include <zlib.h>

#define PLAIN_LEN (1 * MIB + 17)
#define N_RACERS 8

static struct {
	bool fallocate_full; /* fallocate() fails: ENOSPC */
	bool fallocate_blind; /* fallocate() fails: EOPNOTSUPP */
	bool write_full; /* write() to a file on a disk fails after some bytes: ENOSPC */
	bool write_dies; /* the same, but SIGKILL */
	time_t ahead_s; /* how much later it is */
} fake;

int clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = (int)syscall(SYS_clock_gettime, id, t);

	if (id == CLOCK_REALTIME)
		t->tv_sec += fake.ahead_s;
	return rc;
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
	if (fake.fallocate_full || fake.fallocate_blind) {
		errno = fake.fallocate_full ? ENOSPC : EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, at, len);
}

/* A memfd's link in /proc says so; the fakes spare those. */
static bool is_memfd(int fd)
{
	char self[64], target[256];
	ssize_t n;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	n = readlink(self, target, sizeof(target) - 1);
	return n > 7 && memcmp(target, "/memfd:", 7) == 0;
}

ssize_t write(int fd, const void *data, size_t len)
{
	if ((fake.write_full || fake.write_dies) && lseek(fd, 0, SEEK_CUR) > 0 && !is_memfd(fd)) {
		if (fake.write_dies)
			kill(getpid(), SIGKILL);
		errno = ENOSPC;
		return -1;
	}
	return syscall(SYS_write, fd, data, len);
}

/* The fixture: a scratch directory, a payload, and what it unpacks to ----------------------- */

static char scratch[] = "/tmp/vmm-test-cache.XXXXXX";
static char cache_dir[sizeof(scratch) + 8];
static uint8_t plain[PLAIN_LEN], payload[2 * PLAIN_LEN];
static size_t payload_len;

/* Another seed, another payload. */
static void make_payload(uint32_t seed)
{
	z_stream z = { 0 };

	for (size_t i = 0; i < PLAIN_LEN; i++) {
		seed = seed * 1664525u + 1013904223u;
		plain[i] = (uint8_t)((seed >> 24) % 19);
	}
	ck_assert_int_eq(deflateInit2(&z, 1, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = plain;
	z.avail_in = PLAIN_LEN;
	z.next_out = payload;
	z.avail_out = sizeof(payload);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	payload_len = z.total_out;
	deflateEnd(&z);
}

static void scratch_make(void)
{
	ck_assert_ptr_nonnull(mkdtemp(scratch));
	snprintf(cache_dir, sizeof(cache_dir), "%s/vmm", scratch);
	setenv("XDG_CACHE_HOME", scratch, 1);
	make_payload(1);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

static void scratch_remove(void)
{
	chmod(scratch, 0700);
	chmod(cache_dir, 0700);
	nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The number of files; the last one's path. */
static int list_entries(char *path, size_t size)
{
	DIR *d = opendir(cache_dir);
	struct dirent *entry;
	int n = 0;

	while (d && (entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		n++;
		if (path)
			snprintf(path, size, "%s/%s", cache_dir, entry->d_name);
	}
	if (d)
		closedir(d);
	return n;
}

static void check_content(int fd)
{
	static uint8_t b[PLAIN_LEN + 1];

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, b, sizeof(b), 0), PLAIN_LEN);
	ck_assert_mem_eq(b, plain, PLAIN_LEN);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

/* Gets the kernel, checks it, says whether it came from the cache. */
static bool get(void)
{
	struct err e;
	bool hit;
	int fd;

	ck_ok(cached_get(&fd, payload, payload_len, PLAIN_LEN, &hit, &e));
	check_content(fd);
	close(fd);
	return hit;
}

START_TEST(the_second_time_is_a_hit)
{
	char path[PATH_MAX];
	struct stat st;

	scratch_make();
	ck_assert(!get());
	ck_assert(get());
	ck_assert_int_eq(list_entries(path, sizeof(path)), 1);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode, S_IFREG | 0400);
	ck_assert_int_eq(stat(cache_dir, &st), 0);
	ck_assert_int_eq(st.st_mode, S_IFDIR | 0700);
	make_payload(2);
	ck_assert(!get());
	ck_assert_int_eq(list_entries(NULL, 0), 2);
	scratch_remove();
}
END_TEST

START_TEST(an_entry_is_named_by_the_blake2b_256_of_its_payload)
{
	static const char *const tool = "b2sum -l 256 </dev/null >/dev/null 2>&1";
	char path[PATH_MAX], cmd[PATH_MAX + 64], sum[65] = "";
	FILE *f;

	if (system(tool) != 0)
		return; /* nothing to compare with on this host */
	scratch_make();
	get();
	ck_assert_int_eq(list_entries(path, sizeof(path)), 1);
	snprintf(cmd, sizeof(cmd), "%s/payload", scratch);
	f = fopen(cmd, "w");
	ck_assert_uint_eq(fwrite(payload, 1, payload_len, f), payload_len);
	fclose(f);
	snprintf(cmd, sizeof(cmd), "b2sum -l 256 %s/payload", scratch);
	f = popen(cmd, "r");
	ck_assert_uint_eq(fread(sum, 1, 64, f), 64);
	pclose(f);
	ck_assert_str_eq(strrchr(path, '/') + 1, sum);
	scratch_remove();
}
END_TEST

START_TEST(parents_are_made_private)
{
	char deep[sizeof(scratch) + 16];
	struct stat st;

	scratch_make();
	snprintf(deep, sizeof(deep), "%s/a/b", scratch);
	setenv("XDG_CACHE_HOME", deep, 1);
	umask(0);
	ck_assert(!get());
	ck_assert(get());
	ck_assert_int_eq(stat(deep, &st), 0);
	ck_assert_int_eq(st.st_mode, S_IFDIR | 0700);
	unsetenv("XDG_CACHE_HOME");
	setenv("HOME", deep, 1);
	ck_assert(!get());
	ck_assert(get());
	setenv("XDG_CACHE_HOME", "relative", 1); /* to be ignored */
	ck_assert(get());
	scratch_remove();
}
END_TEST

START_TEST(without_a_home_the_kernel_is_unpacked_all_the_same)
{
	scratch_make();
	unsetenv("XDG_CACHE_HOME");
	unsetenv("HOME");
	ck_assert(!get());
	ck_assert(!get());
	setenv("HOME", "", 1);
	ck_assert(!get());
	scratch_remove();
}
END_TEST

START_TEST(an_unusable_directory_is_done_without)
{
	char path[PATH_MAX];
	int fd;

	scratch_make();
	fd = open(cache_dir, O_CREAT | O_WRONLY, 0600); /* a file in its place */
	close(fd);
	ck_assert(!get());
	ck_assert(!get());
	unlink(cache_dir);
	ck_assert_int_eq(symlink("/nonexistent", cache_dir), 0);
	ck_assert(!get());
	unlink(cache_dir);
	ck_assert(!get());
	ck_assert_int_eq(list_entries(path, sizeof(path)), 1);
	unlink(path);
	chmod(cache_dir, 0500); /* root may all the same */
	get();
	setenv("XDG_CACHE_HOME", "/proc", 1);
	ck_assert(!get());
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	setenv("XDG_CACHE_HOME", path, 1);
	ck_assert(!get());
	scratch_remove();
}
END_TEST

START_TEST(a_directory_that_others_can_write_to_is_not_trusted)
{
	scratch_make();
	ck_assert(!get());
	ck_assert(get());
	chmod(cache_dir, 0770);
	ck_assert(!get());
	chmod(cache_dir, 0702);
	ck_assert(!get());
	chmod(cache_dir, 0755);
	ck_assert(get());
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(cache_dir, 12345, 12345), 0);
		ck_assert(!get());
	}
	scratch_remove();
}
END_TEST

START_TEST(an_entry_that_is_not_right_is_made_again)
{
	char path[PATH_MAX];
	int fd;

	scratch_make();
	get();
	list_entries(path, sizeof(path));
	for (int kind = 0; kind < 6; kind++) {
		unlink(path);
		if (kind < 3) { /* empty, short by one, long by one */
			fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
			ck_assert_int_eq(ftruncate(fd, kind ? PLAIN_LEN + (off_t)kind * 2 - 3 : 0),
					 0);
			close(fd);
		} else if (kind == 3) {
			ck_assert_int_eq(symlink("/dev/zero", path), 0);
		} else if (kind == 4) {
			ck_assert_int_eq(mkfifo(path, 0600), 0);
		} else { /* of the right size, but anybody's to change */
			fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
			ck_assert_int_eq(ftruncate(fd, PLAIN_LEN), 0);
			fchmod(fd, 0666);
			close(fd);
		}
		ck_assert_msg(!get(), "kind %d", kind);
		ck_assert_msg(get(), "kind %d", kind);
		ck_assert_int_eq(list_entries(NULL, 0), 1);
	}
	scratch_remove();
}
END_TEST

START_TEST(an_entry_that_cannot_be_replaced_is_done_without)
{
	char path[PATH_MAX];

	scratch_make();
	get();
	list_entries(path, sizeof(path));
	unlink(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert(!get());
	ck_assert(!get());
	scratch_remove();
}
END_TEST

/* Runs get() with stderr caught; the text, to be freed. */
static char *get_and_listen(void)
{
	int fd = memfd_create("stderr", 0), old = dup(2);
	char *text = calloc(1, 4096);

	dup2(fd, 2);
	ck_assert(!get());
	dup2(old, 2);
	ck_assert_int_ge(pread(fd, text, 4095, 0), 0);
	close(fd);
	close(old);
	return text;
}

START_TEST(a_full_disk_is_said_and_done_without)
{
	char *said;

	scratch_make();
	fake.fallocate_full = _i == 0;
	fake.fallocate_blind = _i == 1;
	fake.write_full = _i != 0;
	said = get_and_listen();
	ck_assert_msg(strstr(said, "warning") && strstr(said, "No space"), "said: %s", said);
	ck_assert_int_eq(list_entries(NULL, 0), 0);
	free(said);
	memset(&fake, 0, sizeof(fake));
	said = get_and_listen();
	ck_assert_str_eq(said, "");
	free(said);
	ck_assert(get());
	scratch_remove();
}
END_TEST

START_TEST(a_file_system_without_fallocate_is_good_enough)
{
	scratch_make();
	fake.fallocate_blind = true;
	ck_assert(!get());
	ck_assert(get());
	scratch_remove();
}
END_TEST

START_TEST(a_vmm_that_is_killed_leaves_nothing_behind)
{
	int status;
	pid_t pid;

	scratch_make();
	pid = fork();
	if (pid == 0) {
		fake.write_dies = true;
		get();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ck_assert_int_eq(list_entries(NULL, 0), 0);
	ck_assert(!get());
	ck_assert(get());
	scratch_remove();
}
END_TEST

/* One of many at once, winner or not: ends with the one entry, read-only. */
static void race(int start)
{
	struct err e;
	bool hit;
	char b;
	int fd;

	ck_assert_int_eq(read(start, &b, 1), 0); /* returns for all at once */
	ck_ok(cached_get(&fd, payload, payload_len, PLAIN_LEN, &hit, &e));
	check_content(fd);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	_exit(0);
}

START_TEST(any_number_of_vmms_may_fill_the_same_entry_at_once)
{
	int start[2], status;
	pid_t pid[N_RACERS];

	scratch_make();
	ck_assert_int_eq(pipe(start), 0);
	for (int i = 0; i < N_RACERS; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			close(start[1]);
			race(start[0]);
		}
	}
	close(start[0]);
	close(start[1]);
	for (int i = 0; i < N_RACERS; i++) {
		ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	ck_assert_int_eq(list_entries(NULL, 0), 1);
	ck_assert(get());
	scratch_remove();
}
END_TEST

/* A sparse entry of this size, last used at second `used`. */
static void plant(const char *dir, char digit, uint64_t size, time_t used, char *path)
{
	struct timespec times[2] = { { .tv_sec = used }, { .tv_sec = used } };
	char name[65] = "";
	int fd;

	memset(name, digit, 64);
	snprintf(path, PATH_MAX, "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY, 0400);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	ck_assert_int_eq(futimens(fd, times), 0);
	close(fd);
}

START_TEST(the_least_recently_used_entries_go_first)
{
	char a[PATH_MAX], b[PATH_MAX], c[PATH_MAX], other[PATH_MAX];
	int fd;

	scratch_make();
	mkdir(cache_dir, 0700);
	snprintf(other, sizeof(other), "%s/notes.txt", cache_dir);
	fd = open(other, O_CREAT | O_WRONLY, 0600); /* large and old, but not an entry */
	ck_assert_int_eq(ftruncate(fd, 1l << 30), 0);
	close(fd);
	plant(cache_dir, 'a', KERNEL_CACHE_MAX_BYTES / 2, 2000, a);
	plant(cache_dir, 'b', KERNEL_CACHE_MAX_BYTES / 2, 1000, b);
	plant(cache_dir, 'c', KERNEL_CACHE_MAX_BYTES / 2, 3000, c);
	ck_assert(!get());
	ck_assert_int_ne(access(b, F_OK), 0);
	ck_assert_int_ne(access(a, F_OK), 0);
	ck_assert_int_eq(access(c, F_OK), 0);
	ck_assert_int_eq(access(other, F_OK), 0);
	ck_assert(get());
	scratch_remove();
}
END_TEST

START_TEST(a_hit_makes_an_entry_young)
{
	struct timespec old[2] = { { .tv_sec = 500 }, { .tv_sec = 500 } };
	char path[PATH_MAX], a[PATH_MAX];

	scratch_make();
	get();
	list_entries(path, sizeof(path));
	ck_assert_int_eq(utimensat(AT_FDCWD, path, old, 0), 0);
	ck_assert(get());
	plant(cache_dir, 'a', KERNEL_CACHE_MAX_BYTES, 1000, a);
	make_payload(2);
	ck_assert(!get());
	ck_assert_int_ne(access(a, F_OK), 0);
	ck_assert_int_eq(access(path, F_OK), 0);
	scratch_remove();
}
END_TEST

START_TEST(what_can_never_fit_is_not_put_there)
{
	struct err e;
	bool hit;
	int fd;

	scratch_make();
	ck_fails(cached_get(&fd, payload, payload_len, KERNEL_CACHE_MAX_BYTES + 1, &hit, &e),
		 ERR_IMAGE, "only 1048593 come out");
	ck_assert_int_eq(fd, -1);
	ck_assert_int_eq(list_entries(NULL, 0), 0);
	scratch_remove();
}
END_TEST

START_TEST(a_payload_that_lies_is_refused_and_not_kept)
{
	struct err e;
	bool hit;
	int fd;

	scratch_make();
	ck_fails(cached_get(&fd, payload, payload_len, PLAIN_LEN - 1, &hit, &e), ERR_IMAGE,
		 "says it unpacks to 1048592 bytes, but more come out");
	ck_fails(cached_get(&fd, payload, payload_len, PLAIN_LEN + 1, &hit, &e), ERR_IMAGE,
		 "says it unpacks to 1048594 bytes, but only 1048593 come out");
	ck_fails(cached_get(&fd, payload, payload_len - 1, PLAIN_LEN, &hit, &e), ERR_IMAGE,
		 "truncated");
	payload[payload_len / 2] ^= 1;
	ck_fails(cached_get(&fd, payload, payload_len, PLAIN_LEN, &hit, &e), ERR_IMAGE, "gzip");
	ck_assert_int_eq(fd, -1);
	ck_fails(cached_get(&fd, payload, 0, PLAIN_LEN, &hit, &e), ERR_IMAGE, "compression");
	ck_assert_int_eq(list_entries(NULL, 0), 0);
	scratch_remove();
}
END_TEST

START_TEST(what_a_vmm_gets_from_the_cache_it_cannot_write_to)
{
	struct err e;
	bool hit;
	int fd;

	scratch_make();
	for (int i = 0; i < 2; i++) { /* just made, and found */
		ck_ok(cached_get(&fd, payload, payload_len, PLAIN_LEN, &hit, &e));
		ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
		close(fd);
	}
	scratch_remove();
}
END_TEST

/* Files that have been hashed ---------------------------------------------------------------- */

/* An image that is the payload alone. */
static void image_path(char path[PATH_MAX], unsigned int n)
{
	snprintf(path, PATH_MAX, "%s/image%u", scratch, n);
}

static void write_image(unsigned int n)
{
	char path[PATH_MAX];
	FILE *f;

	image_path(path, n);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(payload, 1, payload_len, f), payload_len);
	fclose(f);
}

/* As a start does it: true if nobody has had to read the image. */
static bool start_unread(unsigned int n, void (*meanwhile)(void))
{
	const struct kernel_cache_payload p = { payload, payload_len, PLAIN_LEN };
	struct kernel_cache *c;
	char path[PATH_MAX];
	int image, fd = -1;
	struct err e;
	bool found;

	image_path(path, n);
	image = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(image, 0);
	kernel_cache_open(&c, image);
	found = kernel_cache_found(c);
	if (meanwhile)
		meanwhile();
	if (!found)
		kernel_cache_find(c, image, payload, payload_len);
	if (!kernel_cache_take(c, PLAIN_LEN, &fd))
		ck_ok(kernel_cache_make(c, &fd, &p, &e));
	check_content(fd);
	close(fd);
	kernel_cache_close(c);
	close(image);
	return found;
}

static unsigned int count_links(char last[PATH_MAX])
{
	DIR *d = opendir(cache_dir);
	struct dirent *entry;
	unsigned int n = 0;

	ck_assert_ptr_nonnull(d);
	while ((entry = readdir(d))) {
		if (strncmp(entry->d_name, "file-", 5) != 0)
			continue;
		n++;
		snprintf(last, PATH_MAX, "%s/%s", cache_dir, entry->d_name);
	}
	closedir(d);
	return n;
}

static void scratch_with_image(void)
{
	scratch_make();
	write_image(0);
	fake.ahead_s = 4;
}

START_TEST(a_file_that_has_been_hashed_need_not_be_read_again)
{
	scratch_with_image();
	ck_assert(!start_unread(0, NULL)); /* makes the entry */
	ck_assert(start_unread(0, NULL));
	write_image(1);
	ck_assert(!start_unread(1, NULL)); /* finds it */
	ck_assert(start_unread(1, NULL));
	ck_assert(start_unread(0, NULL));
	scratch_remove();
}
END_TEST

START_TEST(a_file_that_has_changed_is_not_taken_for_what_it_was)
{
	struct timespec times[2];
	char path[PATH_MAX];
	struct stat before;

	scratch_with_image();
	start_unread(0, NULL);
	image_path(path, 0);
	ck_assert_int_eq(stat(path, &before), 0);
	usleep(20000); /* more than the grain of the file system's clock */
	payload[payload_len - 8] ^= 1; /* of the same length, at the same place, dated back */
	write_image(0);
	payload[payload_len - 8] ^= 1;
	times[0] = before.st_atim;
	times[1] = before.st_mtim;
	ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
	ck_assert(!start_unread(0, NULL));
	scratch_remove();
}
END_TEST

START_TEST(a_file_that_has_just_changed_is_not_remembered)
{
	scratch_with_image();
	fake.ahead_s = 0;
	ck_assert(!start_unread(0, NULL));
	ck_assert(!start_unread(0, NULL));
	fake.ahead_s = -10000; /* the clock has been put back since */
	ck_assert(!start_unread(0, NULL));
	ck_assert(!start_unread(0, NULL));
	scratch_remove();
}
END_TEST

static void change_image(void)
{
	usleep(20000);
	write_image(0);
}

START_TEST(a_file_that_changes_while_it_is_read_is_not_remembered)
{
	char link[PATH_MAX];

	scratch_with_image();
	ck_assert(!start_unread(0, change_image));
	ck_assert_uint_eq(count_links(link), 0);
	scratch_remove();
}
END_TEST

START_TEST(what_is_remembered_of_an_entry_that_has_gone_is_no_use)
{
	static const char *const targets[] = { "/etc/passwd", "", "../image0", "0123" };
	char link[PATH_MAX], entry[PATH_MAX + 80], name[80] = "";

	scratch_with_image();
	start_unread(0, NULL);
	ck_assert_uint_eq(count_links(link), 1);
	ck_assert_int_eq(readlink(link, name, sizeof(name) - 1), 64);
	snprintf(entry, sizeof(entry), "%s/%s", cache_dir, name);
	ck_assert_int_eq(unlink(entry), 0);
	ck_assert(!start_unread(0, NULL));
	ck_assert(start_unread(0, NULL));
	for (unsigned int i = 0; i < ARRAY_SIZE(targets); i++) {
		unlink(link);
		if (targets[i][0] != '\0')
			ck_assert_int_eq(symlink(targets[i], link), 0);
		ck_assert(!start_unread(0, NULL));
		ck_assert(start_unread(0, NULL));
	}
	scratch_remove();
}
END_TEST

START_TEST(an_entry_that_is_found_unread_and_damaged_is_made_again)
{
	char link[PATH_MAX], entry[PATH_MAX + 80], name[80] = "";

	scratch_with_image();
	start_unread(0, NULL);
	count_links(link);
	ck_assert_int_eq(readlink(link, name, sizeof(name) - 1), 64);
	snprintf(entry, sizeof(entry), "%s/%s", cache_dir, name);
	ck_assert_int_eq(chmod(entry, 0600), 0);
	ck_assert_int_eq(truncate(entry, PLAIN_LEN / 2), 0);
	ck_assert(start_unread(0, NULL)); /* it is read after all: what comes out is right */
	ck_assert(start_unread(0, NULL));
	scratch_remove();
}
END_TEST

START_TEST(no_more_than_so_many_files_are_remembered)
{
	char link[PATH_MAX];

	scratch_with_image();
	for (unsigned int i = 0; i < 140; i++) {
		write_image(i);
		ck_assert(!start_unread(i, NULL));
	}
	ck_assert_uint_eq(count_links(link), 128);
	ck_assert(start_unread(139, NULL));
	scratch_remove();
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("kernel_cache");

	UNIT_TEST(s, the_second_time_is_a_hit);
	UNIT_TEST(s, an_entry_is_named_by_the_blake2b_256_of_its_payload);
	UNIT_TEST(s, parents_are_made_private);
	UNIT_TEST(s, without_a_home_the_kernel_is_unpacked_all_the_same);
	UNIT_TEST(s, an_unusable_directory_is_done_without);
	UNIT_TEST(s, a_directory_that_others_can_write_to_is_not_trusted);
	UNIT_TEST(s, an_entry_that_is_not_right_is_made_again);
	UNIT_TEST(s, an_entry_that_cannot_be_replaced_is_done_without);
	UNIT_LOOP(s, a_full_disk_is_said_and_done_without, 3);
	UNIT_TEST(s, a_file_system_without_fallocate_is_good_enough);
	UNIT_TEST(s, a_vmm_that_is_killed_leaves_nothing_behind);
	UNIT_TEST(s, any_number_of_vmms_may_fill_the_same_entry_at_once);
	UNIT_TEST(s, the_least_recently_used_entries_go_first);
	UNIT_TEST(s, a_hit_makes_an_entry_young);
	UNIT_TEST(s, what_can_never_fit_is_not_put_there);
	UNIT_TEST(s, a_payload_that_lies_is_refused_and_not_kept);
	UNIT_TEST(s, what_a_vmm_gets_from_the_cache_it_cannot_write_to);
	UNIT_TEST(s, a_file_that_has_been_hashed_need_not_be_read_again);
	UNIT_TEST(s, a_file_that_has_changed_is_not_taken_for_what_it_was);
	UNIT_TEST(s, a_file_that_has_just_changed_is_not_remembered);
	UNIT_TEST(s, a_file_that_changes_while_it_is_read_is_not_remembered);
	UNIT_TEST(s, what_is_remembered_of_an_entry_that_has_gone_is_no_use);
	UNIT_TEST(s, an_entry_that_is_found_unread_and_damaged_is_made_again);
	UNIT_TEST(s, no_more_than_so_many_files_are_remembered);
	return s;
}

UNIT_MAIN("kernel_cache", make_suite)

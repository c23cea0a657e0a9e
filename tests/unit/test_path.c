/*
 * test_path.c - src/host/path.c: what is opened, and whose links are followed whither.
 *
 * Alice is another user if we are root. If not, she is we, the folders that she must not lead us
 * into are the host's, and nobody is trusted; path_walk() then does what it would for root.
 */
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/path.h>

#define ALICE 12345u /* if we are root */
#define BOB 12346u
#define STRANGER 12347u /* owns nothing */

static struct err e;
static bool is_root;
static char top[64], other[80], other_file[PATH_MAX];
static uid_t alice, trusted;

static const char *at(const char *name)
{
	static char paths[8][PATH_MAX];
	static unsigned int n;
	char *p = paths[n++ % ARRAY_SIZE(paths)];

	snprintf(p, PATH_MAX, "%s/%s", top, name);
	return p;
}

static void give(const char *name, uid_t who)
{
	if (is_root)
		ck_assert_int_eq(lchown(at(name), who, who), 0);
}

static void make_folder(const char *name, uid_t who)
{
	ck_assert_int_eq(mkdir(at(name), 0755), 0);
	give(name, who);
}

static void make_file(const char *name, uid_t who)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_EXCL, 0644);

	ck_assert_int_eq(write(fd, name, strlen(name)), strlen(name));
	close(fd);
	give(name, who);
}

static void make_link(const char *name, const char *to, uid_t who)
{
	ck_assert_int_eq(symlink(to, at(name)), 0);
	give(name, who);
}

/* alice/: hers, with a file; other/: not hers, with a file. */
static void setup(void)
{
	is_root = geteuid() == 0;
	alice = is_root ? ALICE : geteuid();
	trusted = is_root ? 0 : STRANGER;
	umask(022);
	snprintf(top, sizeof(top), "/tmp/test_path.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	chmod(top, 0755);
	make_folder("alice", alice);
	make_file("alice/file", alice);
	snprintf(other, sizeof(other), "/etc");
	snprintf(other_file, sizeof(other_file), "/etc/passwd");
	if (!is_root)
		return;
	make_folder("other", 0);
	make_file("other/file", 0);
	snprintf(other, sizeof(other), "%s/other", top);
	snprintf(other_file, sizeof(other_file), "%s/other/file", top);
}

static void teardown(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", top);
	ck_assert_int_eq(system(cmd), 0);
}

static int walk(const char *path, int flags)
{
	return path_walk(path, flags | O_CLOEXEC, 0666, trusted, &e);
}

static void opens(int fd, const char *content)
{
	char buf[64] = "";

	ck_assert_msg(fd >= 0, "%s", e.text);
	ck_assert_int_ge(read(fd, buf, sizeof(buf) - 1), 0);
	ck_assert_str_eq(buf, content);
	close(fd);
}

/* As open(2) ------------------------------------------------------------------------------- */

static const char *const odd_paths[] = {
	"alice/file",
	"./alice/./file",
	"alice/../alice//file",
	"alice//file",
	"alice/file/",
	"alice/file/.",
	"alice/file/..",
	"alice",
	"alice/",
	"alice/.",
	"alice/..",
	"..",
	".",
	"",
	"alice/none",
	"alice/none/",
	"none/none",
	"alice/loop",
	"alice/loop/x",
	"alice/dangling",
	"alice/dangling/",
	"alice/to-file",
	"alice/to-file/",
	"alice/to-folder",
	"alice/to-folder/file",
	"alice/absolute",
	"alice/absolute/file",
	"alice/slashes/file",
	"alice/up/alice/file",
	"/",
	"//",
	"/..",
	"/dev/null",
	"/dev/null/",
	"/proc/self/status",
	"/proc/self/cwd/alice/file",
	"/proc/self/fd",
	"/proc/mounts",
	"/proc/self/exe",
};

static const int odd_flags[] = {
	O_RDONLY,
	O_RDWR,
	O_WRONLY | O_CREAT,
	O_WRONLY | O_CREAT | O_TRUNC,
	O_WRONLY | O_CREAT | O_EXCL,
	O_RDONLY | O_NOFOLLOW,
	O_RDONLY | O_DIRECTORY,
	O_RDONLY | O_DIRECTORY | O_NOFOLLOW,
	O_RDWR | O_TMPFILE,
	O_PATH,
	O_PATH | O_DIRECTORY,
	O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY,
};

static void make_odd_links(void)
{
	make_link("alice/loop", "loop", geteuid());
	make_link("alice/dangling", "made", geteuid());
	make_link("alice/to-file", "file", geteuid());
	make_link("alice/to-folder", ".", geteuid());
	make_link("alice/absolute", at("alice"), geteuid());
	make_link("alice/slashes", "../alice///", geteuid());
	make_link("alice/up", "..", geteuid());
}

static int with_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0666);

	return fd < 0 ? -errno : fd;
}

static void is_same_file(const char *path, int flags, int a, int b)
{
	struct stat st, want;

	ck_assert_int_eq(fstat(a, &st), 0);
	ck_assert_int_eq(fstat(b, &want), 0);
	ck_assert_msg(flags & O_TMPFILE & ~O_DIRECTORY ||
			      (st.st_ino == want.st_ino && st.st_dev == want.st_dev),
		      "%s, %#x: another file", path, flags);
	ck_assert_uint_eq(st.st_mode, want.st_mode);
	ck_assert_int_eq(fcntl(a, F_GETFL) & ~O_NOFOLLOW, fcntl(b, F_GETFL) & ~O_NOFOLLOW);
	ck_assert_int_eq(fcntl(a, F_GETFD), fcntl(b, F_GETFD));
}

/* One that is made is there for the second of the two. */
static void unmake(void)
{
	unlink(at("alice/none"));
	unlink(at("alice/made"));
}

/* Where all links may be followed. */
START_TEST(all_paths_open_as_by_open)
{
	const int flags = odd_flags[_i];

	make_odd_links();
	ck_assert_int_eq(chdir(top), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(odd_paths); i++) {
		const char *path = odd_paths[i];
		int want = with_open(path, flags), fd;

		if (flags & O_EXCL)
			unmake();
		fd = path_walk(path, flags | O_CLOEXEC, 0666, geteuid(), &e);
		ck_assert_msg((want < 0 && fd == want) || (want >= 0 && fd >= 0),
			      "\"%s\", %#x: %d, not %d", path, flags, fd, want);
		if (want < 0)
			ck_assert_str_eq(e.text, strerror(-want));
		else if (!(flags & O_EXCL))
			is_same_file(path, flags, want, fd);
		close(want);
		close(fd);
		unmake();
	}
	ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(names_and_paths_may_be_as_long_as_in_the_kernel)
{
	static char path[PATH_MAX + 100];

	memset(path, 'x', NAME_MAX);
	ck_assert_int_eq(walk(path, O_RDONLY), -ENOENT);
	memset(path, 'x', NAME_MAX + 1);
	ck_assert_int_eq(walk(path, O_RDONLY), -ENAMETOOLONG);
	for (unsigned int i = 0; i < PATH_MAX - 2; i += 2)
		memcpy(path + i, "./", 2);
	path[PATH_MAX - 2] = '.';
	path[PATH_MAX - 1] = '\0';
	ck_assert_int_ge(walk(path, O_RDONLY), 0);
	path[PATH_MAX - 1] = '/';
	path[PATH_MAX] = '\0';
	ck_assert_int_eq(walk(path, O_RDONLY), -ENAMETOOLONG);
	path[PATH_MAX - 1] = '\0';
	ck_assert_int_eq(walk(path, O_RDONLY | O_DIRECTORY), -ENAMETOOLONG);
}
END_TEST

START_TEST(forty_links_are_followed_and_no_more)
{
	char name[32], to[32];

	make_link("alice/0", "file", alice);
	for (int i = 1; i < 41; i++) {
		snprintf(name, sizeof(name), "alice/%d", i);
		snprintf(to, sizeof(to), "%d", i - 1);
		make_link(name, to, alice);
	}
	opens(walk(at("alice/39"), O_RDONLY), "alice/file");
	ck_assert_int_eq(walk(at("alice/40"), O_RDONLY), -ELOOP);
}
END_TEST

/* Whose link leads whither ------------------------------------------------------------------- */

static void refused(int fd, const char *words)
{
	ck_assert_msg(fd == -ELOOP, "%d", fd);
	ck_assert_msg(strstr(e.text, words), "\"%s\" lacks \"%s\"", e.text, words);
	ck_assert_msg(strstr(e.text, "name the file itself"), "%s", e.text);
}

START_TEST(a_link_into_a_folder_of_its_owners_is_followed)
{
	make_folder("links", alice);
	make_link("links/file", "../alice/file", alice);
	make_link("links/absolute", at("alice/file"), alice);
	make_link("links/folder", at("alice"), alice);
	make_link("links/again", "file", alice);
	make_link("links/new", "../alice/new", alice);
	opens(walk(at("links/file"), O_RDONLY), "alice/file");
	opens(walk(at("links/absolute"), O_RDWR), "alice/file");
	opens(walk(at("links/folder/file"), O_RDONLY), "alice/file");
	opens(walk(at("links/again"), O_RDONLY), "alice/file");
	opens(walk(at("links/new"), O_RDWR | O_CREAT), "");
	ck_assert_int_eq(access(at("alice/new"), F_OK), 0);
	close(walk(at("links/folder"), O_RDWR | O_TMPFILE));
}
END_TEST

START_TEST(a_link_into_a_folder_of_anothers_is_refused_with_the_remedy)
{
	const struct passwd *p = getpwuid(alice);
	char words[128];

	make_link("alice/evil", other_file, alice);
	make_link("alice/folder", other, alice);
	make_link("alice/evil2", "folder/file", alice);
	if (p)
		snprintf(words, sizeof(words), "of user %.32s leads into a directory of root",
			 p->pw_name);
	else
		snprintf(words, sizeof(words), "of user %u leads into a directory of root", alice);
	refused(walk(at("alice/evil"), O_RDONLY), words);
	refused(walk(at("alice/folder/file"), O_RDONLY), words);
	refused(walk(at("alice/folder/none"), O_RDONLY), words);
	refused(walk(at("alice/evil2"), O_PATH), words);
	refused(walk(at("alice/folder"), O_RDONLY | O_DIRECTORY), words);
	/* What is asked for in so many words is another matter. */
	ck_assert_int_ge(walk(other_file, O_RDONLY), 0);
}
END_TEST

START_TEST(nothing_is_made_or_cut_by_way_of_a_refused_link)
{
	char new_file[PATH_MAX];
	struct stat st;

	snprintf(new_file, sizeof(new_file), "%s/test_path_new", other);
	make_link("alice/evil", other_file, alice);
	make_link("alice/new", new_file, alice);
	make_link("alice/folder", other, alice);
	refused(walk(at("alice/evil"), O_WRONLY | O_CREAT | O_TRUNC), "symbolic link");
	refused(walk(at("alice/new"), O_WRONLY | O_CREAT), "symbolic link");
	refused(walk(at("alice/folder/test_path_new"), O_WRONLY | O_CREAT), "symbolic link");
	refused(walk(at("alice/folder/test_path_new"), O_WRONLY | O_CREAT | O_EXCL),
		"symbolic link");
	refused(walk(at("alice/folder"), O_RDWR | O_TMPFILE), "symbolic link");
	ck_assert_int_lt(access(new_file, F_OK), 0);
	ck_assert_int_eq(stat(other_file, &st), 0);
	ck_assert_int_gt(st.st_size, 0);
}
END_TEST

START_TEST(a_trusted_users_link_leads_anywhere)
{
	trusted = geteuid();
	make_link("root", ".", trusted);
	make_link("file", "root/alice/file", trusted);
	make_link("other-file", other_file, trusted);
	opens(walk(at("file"), O_RDONLY), "alice/file");
	close(walk(at("other-file"), O_RDONLY));
	ck_assert_int_ge(walk(at("other-file"), O_RDONLY), 0);
}
END_TEST

/* As root: only root makes links of others. Else path_open() is open(2), and that is tested. */
START_TEST(root_follows_links_of_its_own_link_by_link)
{
	if (!is_root)
		return;
	make_link("alice/evil", other_file, alice);
	make_link("good", "alice/file", 0);
	make_link("evil", "alice/evil", 0);
	opens(path_open(at("good"), O_RDONLY, 0, &e), "alice/file");
	refused(path_open(at("evil"), O_RDONLY, 0, &e), "leads into a directory of root");
}
END_TEST

START_TEST(links_of_two_users_lead_nowhere)
{
	if (!is_root)
		return;
	make_folder("bob", BOB);
	make_link("bob/to-alice", "../alice/to-bob", BOB);
	make_link("alice/to-bob", "../bob/file", alice);
	make_file("bob/file", BOB);
	refused(walk(at("bob/to-alice"), O_RDONLY),
		"of user 12346 leads into a symbolic link of user 12345");
	refused(walk(at("alice/to-bob"), O_RDONLY), "a directory of user 12346");
}
END_TEST

/* sysctl fs.protected_symlinks, which sees nothing of what a walk reads by itself. */
START_TEST(a_link_where_anybody_can_make_one_is_refused)
{
	static char link[] = "/tmp/test_path_link.XXXXXX";
	struct stat st;

	ck_assert_int_eq(stat("/tmp", &st), 0);
	close(mkstemp(link));
	unlink(link);
	ck_assert_int_eq(symlink(at("alice/file"), link), 0);
	if (is_root)
		ck_assert_int_eq(lchown(link, alice, alice), 0);
	if (st.st_mode & S_ISVTX && st.st_uid == 0)
		refused(walk(link, O_RDONLY), "where anybody can make one");
	unlink(link);
}
END_TEST

START_TEST(without_following_the_last_name_may_be_a_link)
{
	make_link("alice/evil", other_file, alice);
	ck_assert_int_eq(walk(at("alice/evil"), O_WRONLY | O_CREAT | O_EXCL), -EEXIST);
	ck_assert_str_eq(e.text, strerror(EEXIST));
	ck_assert_int_eq(walk(at("alice/evil"), O_RDONLY | O_NOFOLLOW), -ELOOP);
	ck_assert_str_eq(e.text, strerror(ELOOP));
}
END_TEST

/* /proc --------------------------------------------------------------------------------------- */

START_TEST(an_open_file_is_reached_by_its_number)
{
	static const char *const forms[] = { "/proc/self/fd/%d", "/dev/fd/%d",
					     "/proc/thread-self/fd/%d" };
	int fd = memfd_create("test", MFD_CLOEXEC), pair[2];
	char path[64];

	ck_assert_int_eq(write(fd, "hello", 5), 5);
	for (unsigned int i = 0; i < ARRAY_SIZE(forms); i++) {
		snprintf(path, sizeof(path), forms[i], fd);
		opens(path_walk(path, O_RDWR, 0, 0, &e), "hello");
		opens(path_open(path, O_RDWR, 0, &e), "hello");
	}
	ck_assert_int_eq(pipe(pair), 0);
	ck_assert_int_eq(write(pair[1], "hi", 2), 2);
	snprintf(path, sizeof(path), "/dev/fd/%d", pair[0]);
	opens(path_walk(path, O_RDONLY, 0, 0, &e), "hi");
	ck_assert_int_eq(dup2(pair[0], STDIN_FILENO), STDIN_FILENO);
	ck_assert_int_eq(write(pair[1], "ho", 2), 2);
	opens(path_open("/dev/stdin", O_RDONLY, 0, &e), "ho");
	fd = open(top, O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/alice/file", fd);
	opens(path_walk(path, O_RDONLY, 0, geteuid(), &e), "alice/file");
}
END_TEST

START_TEST(links_by_way_of_proc_are_held_to_the_same_rule)
{
	char path[PATH_MAX];

	make_link("alice/root", "/proc/self/root", alice);
	snprintf(path, sizeof(path), "%s%s", at("alice/root"), other_file);
	refused(walk(path, O_RDONLY), "leads into a directory of root");
	snprintf(path, sizeof(path), "%s%s", at("alice/root"), at("alice/file"));
	if (is_root) /* else the second link is one of hers, too */
		opens(walk(path, O_RDONLY), "alice/file");
	make_link("alice/status", "/proc/1/status", alice);
	refused(walk(at("alice/status"), O_RDONLY), "leads into a directory of root");
	/* Through the links at /proc's top, to files of this process: root's. */
	if (is_root) {
		make_link("alice/me", "/proc/self/environ", alice);
		refused(walk(at("alice/me"), O_RDONLY), "leads into a directory of root");
	}
}
END_TEST

/* Races --------------------------------------------------------------------------------------- */

static bool over; /* atomic */

static void *exchange(void *arg)
{
	const char *const *names = arg;

	while (!__atomic_load_n(&over, __ATOMIC_RELAXED))
		syscall(SYS_renameat2, AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE);
	return NULL;
}

/* Whatever is found, it is her file, or none. */
static void race(const char *const names[2], const char *path)
{
	unsigned int n_opened = 0, n_refused = 0;
	pthread_t thread;
	struct stat st, want;

	ck_assert_int_eq(stat(at("alice/file"), &want), 0);
	__atomic_store_n(&over, false, __ATOMIC_RELAXED);
	ck_assert_int_eq(pthread_create(&thread, NULL, exchange, (void *)(uintptr_t)names), 0);
	for (unsigned int i = 0; i < 20000 || ((!n_opened || !n_refused) && i < 2000000); i++) {
		int fd = path_walk(path, O_RDONLY | O_CLOEXEC, 0, trusted, &e);

		n_opened += fd >= 0;
		n_refused += fd == -ELOOP;
		if (fd >= 0 && (fstat(fd, &st) < 0 || st.st_ino != want.st_ino))
			ck_abort_msg("another file was opened");
		if (fd >= 0)
			close(fd);
	}
	__atomic_store_n(&over, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(n_opened, 0);
	ck_assert_uint_gt(n_refused, 0);
}

START_TEST(whoever_exchanges_names_meanwhile_gains_nothing)
{
	char a[100], b[100], file[PATH_MAX];
	const char *const names[] = { a, b };

	snprintf(a, sizeof(a), "%s/alice/a", top);
	snprintf(b, sizeof(b), "%s/alice/b", top);
	if (_i == 0) { /* a folder, and a link to one that has a file of that name */
		make_folder("alice/a", alice);
		ck_assert_int_eq(link(at("alice/file"), at("alice/a/passwd")), 0);
		make_link("alice/b", "/etc", alice);
		snprintf(file, sizeof(file), "%s/passwd", a);
	} else { /* a file, and a link to one */
		ck_assert_int_eq(link(at("alice/file"), a), 0);
		make_link("alice/b", "/etc/passwd", alice);
		snprintf(file, sizeof(file), "%s", a);
	}
	race(names, file);
}
END_TEST

/* Folders ------------------------------------------------------------------------------------- */

static void leads_to(const char *path, const char *folder, const char *want)
{
	char name[NAME_MAX + 1];
	int fd = path_open_folder(path, name, &e);
	struct stat st, st_want;

	ck_assert_msg(fd >= 0, "%s: %s", path, e.text);
	ck_assert_str_eq(name, want);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(stat(folder, &st_want), 0);
	ck_assert_uint_eq(st.st_ino, st_want.st_ino);
	close(fd);
}

START_TEST(the_folder_of_a_file_is_where_its_links_lead)
{
	char name[NAME_MAX + 1];

	make_folder("links", alice);
	make_link("links/file", "../alice/file", alice);
	make_link("links/new", "../alice/new", alice);
	leads_to(at("alice/file"), at("alice"), "file");
	leads_to(at("alice/none"), at("alice"), "none");
	leads_to(at("links/file"), at("alice"), "file");
	leads_to(at("links/new"), at("alice"), "new");
	leads_to(at("alice/"), at("alice"), ".");
	leads_to("/proc/self/fd/0", "/proc/self/fd", "0");
	leads_to("/dev/stdin", "/proc/self/fd", "0");
	ck_assert_int_eq(chdir(at("alice")), 0);
	leads_to("file", at("alice"), "file");
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(path_open_folder(at("none/file"), name, &e), -ENOENT);
	ck_assert_int_eq(path_open_folder("", name, &e), -ENOENT);
	make_link("alice/evil", other_file, alice);
	if (is_root)
		refused(path_open_folder(at("alice/evil"), name, &e), "leads into");
}
END_TEST

/* Who the rule is for ------------------------------------------------------------------------- */

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return ok;
}

/* 0: opens it. 90: no user namespace is to be had. */
static int open_as_lone_root(uid_t who)
{
	char map[32];

	snprintf(map, sizeof(map), "0 %u 1", (unsigned int)who);
	if (geteuid() != who && setresuid(who, who, who) < 0)
		return 1;
	/* Who has changed user may not write to its own files in /proc. */
	prctl(PR_SET_DUMPABLE, 1);
	if (unshare(CLONE_NEWUSER) < 0 || !write_text("/proc/self/uid_map", map))
		return 90;
	if (geteuid() != 0)
		return 2;
	return path_open(at("alice/evil"), O_RDONLY | O_CLOEXEC, 0, &e) >= 0 ? 0 : 3;
}

START_TEST(an_ordinary_user_and_root_of_one_user_follow_all_links)
{
	int status;
	pid_t child;

	make_link("alice/evil", "/etc/passwd", alice);
	if (!is_root)
		ck_assert_int_ge(path_open(at("alice/evil"), O_RDONLY, 0, &e), 0);
	child = fork();
	if (child == 0)
		syscall(SYS_exit_group, open_as_lone_root(is_root ? BOB : alice));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 90)
		printf("# no user namespace on this host\n");
	else
		ck_assert_int_eq(status, 0);
	if (is_root)
		refused(path_open(at("alice/evil"), O_RDONLY, 0, &e), "leads into");
}
END_TEST

START_TEST(what_is_opened_leaves_nothing_open_beside_it)
{
	char name[NAME_MAX + 1];
	int before = dup(0), after;

	close(before);
	make_link("alice/evil", other_file, alice);
	make_link("alice/good", "file", alice);
	(void)walk(at("alice/evil"), O_RDONLY);
	(void)walk(at("alice/none"), O_RDONLY);
	(void)walk(at("none/none"), O_RDONLY);
	(void)walk("", O_RDONLY);
	(void)path_open_folder(at("none/none"), name, &e);
	close(walk(at("alice/good"), O_RDONLY));
	close(walk("/proc/self/status", O_RDONLY));
	after = dup(0);
	ck_assert_int_eq(after, before);
	close(after);
}
END_TEST

#define TEST(fn) UNIT_WITH(s, fn, setup, teardown)
#define LOOP(fn, n) unit_add_loop_with(s, #fn, fn, n, setup, teardown)

static Suite *suite(void)
{
	Suite *s = suite_create("path");

	LOOP(all_paths_open_as_by_open, ARRAY_SIZE(odd_flags));
	TEST(names_and_paths_may_be_as_long_as_in_the_kernel);
	TEST(forty_links_are_followed_and_no_more);
	TEST(a_link_into_a_folder_of_its_owners_is_followed);
	TEST(a_link_into_a_folder_of_anothers_is_refused_with_the_remedy);
	TEST(nothing_is_made_or_cut_by_way_of_a_refused_link);
	TEST(a_trusted_users_link_leads_anywhere);
	TEST(root_follows_links_of_its_own_link_by_link);
	TEST(links_of_two_users_lead_nowhere);
	TEST(a_link_where_anybody_can_make_one_is_refused);
	TEST(without_following_the_last_name_may_be_a_link);
	TEST(an_open_file_is_reached_by_its_number);
	TEST(links_by_way_of_proc_are_held_to_the_same_rule);
	LOOP(whoever_exchanges_names_meanwhile_gains_nothing, 2);
	TEST(the_folder_of_a_file_is_where_its_links_lead);
	TEST(an_ordinary_user_and_root_of_one_user_follow_all_links);
	TEST(what_is_opened_leaves_nothing_open_beside_it);
	return s;
}

UNIT_MAIN("path", suite)

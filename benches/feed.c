/* What `bivouac pipe` is measured against besides two processes on halves: threads that do nothing but
 * feed a filter, chunk by chunk, and print what it prints, in order. No record, no signals, no errors.
 *
 *     feed THREADS MEBIBYTES FILE PROGRAM [ARGUMENT...]
 *
 * Chunks end at line ends. The input goes into a pipe with splice(2), the output is read into memory.
 *
 * scripts/bench compiles it with: cc -O2 -pthread benches/feed.c
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { PIECE = 1 << 20, AHEAD = 8 };

static char **command;
static int file;
static off_t length, block;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t printed = PTHREAD_COND_INITIALIZER;
static long taken, turn;

static void check(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(1);
	}
}

/* The first line that begins at `at` or behind it. */
static off_t line_at(off_t at)
{
	char window[4096], *end;
	ssize_t n;

	if (at == 0 || at >= length)
		return at < length ? at : length;
	for (at--; (n = pread(file, window, sizeof window, at)) > 0; at += n)
		if ((end = memchr(window, '\n', n)))
			return at + (end - window) + 1;
	return length;
}

static void pipe_of(int ends[2])
{
	check(pipe2(ends, O_CLOEXEC), "pipe");
	fcntl(ends[0], F_SETPIPE_SZ, PIECE);
}

static pid_t start(int in, int out)
{
	posix_spawn_file_actions_t files;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	errno = posix_spawnp(&pid, command[0], &files, 0, command, environ);
	check(errno, command[0]);
	posix_spawn_file_actions_destroy(&files);
	close(in);
	close(out);
	return pid;
}

/* Feeds one chunk and reads until the filter closes its output; how much that was. */
static size_t attend(int to, int from, off_t at, off_t end, char **out, size_t *room)
{
	struct pollfd ends[2] = {{from, POLLIN, 0}, {to, POLLOUT, 0}};
	size_t held = 0;
	ssize_t n;

	fcntl(to, F_SETFL, O_NONBLOCK);
	fcntl(from, F_SETFL, O_NONBLOCK);
	for (;;) {
		poll(ends, ends[1].fd < 0 ? 1 : 2, -1);
		if (ends[1].fd >= 0 && ends[1].revents) {
			size_t left = end - at;
			n = splice(file, &at, to, 0, left < PIECE ? left : PIECE, SPLICE_F_NONBLOCK);
			if (at >= end || (n < 0 && errno != EAGAIN)) {
				close(to);
				ends[1].fd = -1;
			}
		}
		if (!ends[0].revents)
			continue;
		if (*room < held + PIECE)
			check(!(*out = realloc(*out, *room = 2 * held + PIECE)), "memory");
		n = read(from, *out + held, PIECE);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		held += n > 0 ? n : 0;
	}
	if (ends[1].fd >= 0)
		close(to);
	close(from);
	return held;
}

static void *work(void *unused)
{
	char *out = 0;
	size_t room = 0, held;
	int in[2], back[2];
	long number;

	for (;;) {
		pthread_mutex_lock(&lock);
		while (taken >= turn + AHEAD)
			pthread_cond_wait(&printed, &lock);
		number = taken++;
		pthread_mutex_unlock(&lock);
		off_t at = line_at(number * block), end = line_at((number + 1) * block);
		if (number * block >= length)
			return unused;
		pipe_of(in);
		pipe_of(back);
		pid_t pid = start(in[0], back[1]);
		held = attend(in[1], back[0], at, end, &out, &room);
		waitpid(pid, 0, 0);
		pthread_mutex_lock(&lock);
		while (turn != number)
			pthread_cond_wait(&printed, &lock);
		for (size_t done = 0; done < held;) {
			ssize_t n = write(1, out + done, held - done);
			check(n <= 0, "write");
			done += n;
		}
		turn++;
		pthread_cond_broadcast(&printed);
		pthread_mutex_unlock(&lock);
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	struct stat found;
	int count = argc > 4 ? atoi(argv[1]) : 0;

	if (count < 1 || count > 64) {
		fprintf(stderr, "usage: feed THREADS MEBIBYTES FILE PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	block = atol(argv[2]) << 20;
	command = argv + 4;
	check((file = open(argv[3], O_RDONLY | O_CLOEXEC)) < 0 || fstat(file, &found), argv[3]);
	length = found.st_size;
	for (int i = 0; i < count; i++)
		check((errno = pthread_create(&threads[i], 0, work, 0)), "thread");
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], 0);
	return 0;
}

/* The limit that `bivouac each` is measured against: threads that do nothing but start a program with
 * posix_spawn, in a process group of its own and with an empty signal mask, and wait for its end.
 *
 *     spawn THREADS TIMES [-c] PROGRAM [ARGUMENT...]
 *
 * Each program is given its number as its last argument, as the commands of `each` are given their item.
 * With -c the standard output and standard error of each program are read through two pipes until both
 * are closed, as a runner must that keeps the outputs of its commands apart.
 *
 * scripts/bench compiles it with: cc -O2 -pthread benches/spawn.c
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static atomic_long left;
static char **command;
static int capture;

static void check(int error, const char *what)
{
	if (error) {
		fprintf(stderr, "spawn: %s: %s\n", what, strerror(error));
		exit(1);
	}
}

/* Reads both until both are closed. */
static void drain(int out, int err)
{
	char buffer[4096];
	struct pollfd fds[2] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
	int open = 2;

	while (open > 0) {
		if (poll(fds, 2, -1) < 0)
			continue;
		for (int i = 0; i < 2; i++) {
			if (fds[i].fd < 0 || !fds[i].revents)
				continue;
			if (read(fds[i].fd, buffer, sizeof buffer) <= 0) {
				close(fds[i].fd);
				fds[i].fd = -1;
				open--;
			}
		}
	}
}

static void run_one(long number)
{
	char item[24], *words[64];
	int count = 0;
	posix_spawnattr_t how;
	posix_spawn_file_actions_t files;
	sigset_t none, defaults;
	int out[2], err[2], status;
	pid_t pid;

	for (; command[count]; count++)
		words[count] = command[count];
	snprintf(item, sizeof item, "%ld", number);
	words[count] = item;
	words[count + 1] = 0;
	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawnattr_init(&how);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&how, 0);
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setsigdefault(&how, &defaults);
	if (capture) {
		check(pipe2(out, O_CLOEXEC) ? errno : 0, "pipe");
		check(pipe2(err, O_CLOEXEC) ? errno : 0, "pipe");
		posix_spawn_file_actions_adddup2(&files, out[1], 1);
		posix_spawn_file_actions_adddup2(&files, err[1], 2);
	}
	check(posix_spawnp(&pid, words[0], &files, &how, words, environ), command[0]);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&how);
	if (capture) {
		close(out[1]);
		close(err[1]);
		drain(out[0], err[0]);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

static void *work(void *unused)
{
	long number;

	while ((number = atomic_fetch_sub(&left, 1)) > 0)
		run_one(number);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	int count = argc > 3 ? atoi(argv[1]) : 0;

	capture = argc > 3 && !strcmp(argv[3], "-c");
	command = argv + 3 + capture;
	if (count < 1 || count > 64 || argc < 4 + capture || argc > 60) {
		fprintf(stderr, "usage: spawn THREADS TIMES [-c] PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	left = atol(argv[2]);
	for (int i = 0; i < count; i++)
		check(pthread_create(&threads[i], 0, work, 0), "thread");
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], 0);
	return 0;
}

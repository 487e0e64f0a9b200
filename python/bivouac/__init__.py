"""A parallel map that Unix signals can stop, pause and checkpoint, and that continues where it was.

    import bivouac

    def square(n):
        return f"{n * n}\\n"

    bivouac.resumable(range(2_000)).map(square).write_to("squares.txt").main()

Press Ctrl-C, or send SIGTERM: items at work finish, everything that is done is saved, and the process dies of the
signal. Run the same program again, also after SIGKILL: it continues, and `squares.txt` gets the same bytes.
Ctrl-Z suspends it, `fg` resumes it, SIGUSR1 saves now and says how far it is.

The function runs in processes, one per core, forked when the run begins. So it may be any function, a lambda or a
closure too, and need not be importable. The items and the results must be picklable.
"""

import hashlib
import os
import pickle
import signal
import sys
import threading

from . import _bivouac, _zygote

__all__ = ["Error", "Job", "Outcome", "Stopped", "resumable"]


class Error(Exception):
    """A run could not begin or go on. What was saved stands. `code` is the exit code of the tool for it."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


class Stopped(Exception):
    """A run was stopped, and the same program continues it. `outcome` says how far it is."""

    def __init__(self, outcome):
        super().__init__(str(outcome))
        self.outcome = outcome


class Outcome:
    """How a run ended.

    `finished`: whether the job is complete. `already`: it was before this run. `done` of `total` items are saved,
    by `runs` runs; `failed` of them were left out. `code` is the exit code, `signal` the number of the signal that
    stopped the run, or None. `by` names what stopped it.
    """

    def __init__(self, total, state, ended):
        what, self.code, self.signal, self.done, self.runs, self.failed, self.by = ended
        self.finished = what in ("finished", "already")
        self.already = what == "already"
        self.total, self.state = total, state

    def __str__(self):
        if self.already:
            return f"finished before: {self.total} items"
        if self.finished:
            left_out = f", {self.failed} left out" if self.failed else ""
            return f"finished: {self.total} items{left_out}, {_counted(self.runs, 'run')}"
        return (
            f"stopped by {self.by}: {self.done} of {self.total} items are saved in {self.state}; "
            "run the same program again to continue"
        )


def _counted(number, word):
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def resumable(items):
    """The items of a job: anything with a length and an index, or else an iterable, which is read to its end.

    A run that continues compares the items with those of the run before by a digest of their pickles, and refuses
    others.
    """
    return _Items(items if hasattr(items, "__getitem__") and hasattr(items, "__len__") else list(items))


class _Items:
    def __init__(self, items):
        self._items = items

    def map(self, function, *, version=""):
        """Calls `function` for each item, in processes. It must give the same result whenever it is called.

        A job continues with the same function only: the same name, and the same `version`. Change the version when
        the function changes what it returns.
        """
        return _Mapped(self._items, function, version)


class _Mapped:
    def __init__(self, items, function, version):
        self._items, self._function, self._version = items, function, version

    def write_to(self, path, **options):
        """A job that writes what the function returns (str, bytes or None) to `path`, in the order of the items.

        The file appears when it is complete; until then it is `path.part`. Options are those of `Job`.
        """
        return Job(self._items, self._function, self._version, path, _zygote.as_bytes, **options)

    def collect(self, path, *, raises=False, **options):
        """Runs the job, and returns the list of the results, which may be any objects that pickle.

        They are kept in the file `path`. When the run is stopped, the process ends as with `Job.main`; with
        `raises=True`, `Stopped` is raised instead. Options are those of `Job`, without `keep_going`.
        """
        if options.get("keep_going"):
            raise ValueError("collect() has a result for every item: catch exceptions in the function")
        job = Job(self._items, self._function, self._version, path, _zygote.as_pickle, **options)
        outcome = job.run() if raises else job._run_to_the_end()
        if not outcome.finished:
            raise Stopped(outcome)
        with open(path, "rb") as results:
            return [pickle.load(results) for _ in range(len(self._items))]


class Job:
    """A map to be run.

    jobs: how many processes; by default as many as the process may use cores.
    state: the directory for checkpoints; by default `PATH.bivouac`.
    grace: seconds that items at work have to finish after a stop (5); None: until they end.
    checkpoint_every: seconds between two checkpoints (1).
    keep_going: leave out items whose function raises, and end with code 1; otherwise the first one ends the run (4).
    fresh: begin again, whatever an earlier run has left.
    quiet: no messages on standard error.
    """

    def __init__(
        self, items, function, version, path, pack, *, jobs=None, state=None, grace=5.0, checkpoint_every=1.0,
        keep_going=False, fresh=False, quiet=False,
    ):
        self._items, self._function, self._pack = items, function, pack
        self.count = len(items)
        self.name = getattr(function, "__qualname__", type(function).__name__)
        self.version = str(version)
        self.out = os.fspath(path)
        self.state = os.fspath(state) if state else self.out + ".bivouac"
        self.jobs = jobs or len(os.sched_getaffinity(0))
        self.grace, self.checkpoint_every = grace, checkpoint_every
        self.keep_going, self.fresh, self.quiet = keep_going, fresh, quiet

    @property
    def digest(self):
        return _digest(self._items)

    def run(self):
        """Runs the job until it has ended, and returns an `Outcome`. The process lives on.

        Raises `Error` if an item failed, or nothing could be done: another run holds the state, the items changed.
        """
        handled = _bivouac.handled()
        found = signal.pthread_sigmask(signal.SIG_BLOCK, handled)
        handlers = _take_handlers(handled)
        try:
            handle = _bivouac.Handle()
            zygote = _zygote.fork(handle, handled, self._function, self._items, self._pack)
            try:
                ended = _bivouac.run(self, handle)
            finally:
                handle.close()
                os.waitpid(zygote, 0)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, found)
        if ended[0] == "failed":
            raise Error(ended[-1], ended[1])
        return Outcome(self.count, self.state, ended)

    def main(self):
        """Runs the job, reports on standard error how it ended, and ends the process: with 0, with the exit code of
        an error, or by the signal that stopped it."""
        outcome = self._run_to_the_end()
        sys.exit(outcome.code)

    def _run_to_the_end(self):
        """Returns only if the job is finished, and no key of the terminal meant the whole program."""
        try:
            outcome = self.run()
        except Error as error:
            print(f"bivouac: {error}", file=sys.stderr)
            sys.exit(error.code)
        if not self.quiet:
            print(f"bivouac: {self.out}: {outcome}", file=sys.stderr)
        if outcome.signal is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            _bivouac.die(outcome.signal)
        if not outcome.finished:
            sys.exit(outcome.code)
        return outcome


def _take_handlers(handled):
    """Python's own handlers, which would run as well: that of SIGINT raises KeyboardInterrupt after the run.

    Only the main thread may set handlers. In another thread Python's stay, and are called after the run.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {number: signal.getsignal(number) for number in handled}
    mine = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in mine:
        signal.signal(number, signal.SIG_DFL)
    return mine


def _digest(items):
    """Names the items: their number and what they are."""
    if isinstance(items, range):
        return repr(items)
    digest = hashlib.blake2b(digest_size=16)
    for item in items:
        digest.update(pickle.dumps(item, protocol=4))
    return digest.hexdigest()

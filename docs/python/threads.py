"""Signals and threads: blocked everywhere, one thread waits for them, one loop decides."""
import os, queue, signal, sys, threading, time

HANDLED = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}


def listen(events):
    """The signals thread. It only sends."""
    while True:
        events.put(("signal", signal.sigwait(HANDLED)))


def work(tasks, gate, events):
    """A worker. It knows its queue and the gate, and no signal."""
    while (task := tasks.get()) is not None and gate.is_set():
        time.sleep(0.05)
        events.put(("done", task))
    events.put(("ended", None))


def main(count, jobs=4):
    sys.stdout.reconfigure(line_buffering=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)  # before any thread: all of them inherit it
    events, tasks, gate = queue.SimpleQueue(), queue.SimpleQueue(), threading.Event()
    gate.set()
    threading.Thread(target=listen, args=(events,), daemon=True).start()
    for task in list(range(count)) + [None] * jobs:
        tasks.put(task)
    for _ in range(jobs):
        threading.Thread(target=work, args=(tasks, gate, events)).start()
    print("ready")

    done, stop_by = set(), None
    while jobs > 0:  # the supervisor: waits for events and for nothing else
        what, value = events.get()
        if what == "done":
            done.add(value)
        elif what == "ended":
            jobs -= 1
        elif value == signal.SIGUSR1:
            print(f"status: {len(done)} of {count}")
        elif stop_by is None:
            stop_by = value
            gate.clear()  # no task starts; those in flight come to their end
            print(f"stopping by {signal.Signals(value).name}")
    print(f"{len(done)} of {count} tasks are done")
    if stop_by is not None:
        signal.signal(stop_by, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {stop_by})  # forgotten, raise_signal returns
        signal.raise_signal(stop_by)
        os._exit(128 + stop_by)  # only process 1 of a container comes here


main(int(sys.argv[1]))

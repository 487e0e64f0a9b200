"""The zygote and its workers: processes with one thread, which call the function.

The zygote is forked before a run has threads, and forks a worker for each request. It takes requests of five bytes
(what, and a process id) and answers with a number of four; `src/zygote.rs` is the other side.
"""

import ctypes
import os
import pickle
import signal
import socket
import struct
import sys
import traceback

PR_SET_PDEATHSIG = 1
SENT_TO_ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def fork(handle, handled, call, items, pack):
    """Forks the zygote, and returns its process id. The signals of the run must be blocked."""
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        handle.forked()
        return pid
    try:
        ours, theirs = handle.descriptors()
        os.close(theirs)
        os.setpgid(0, 0)  # Ctrl-C and Ctrl-Z at the terminal are for the program alone
        _die_with(parent)
        _serve(socket.socket(fileno=ours), handled, call, items, pack)
    finally:
        os._exit(0)


def _die_with(parent):
    """The kernel kills this process when its parent has died, also by SIGKILL."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _serve(control, handled, call, items, pack):
    workers = set()
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 5, 1)
        while request and len(request) < 5:
            request += control.recv(5 - len(request))
        if not request:
            break
        what, pid = struct.unpack("<ci", request)
        answer = 0
        if what == b"W":
            answer = _fork_worker(descriptors[0], control, handled, call, items, pack)
            os.close(descriptors[0])
            workers.add(answer)
        elif what == b"K" and pid in workers:
            workers.remove(pid)
            answer = _end(pid)
        elif what in b"ZC":
            for pid in workers:
                _kill(pid, signal.SIGSTOP if what == b"Z" else signal.SIGCONT)
        control.sendall(struct.pack("<i", answer))
    for pid in workers:
        _end(pid)


def _kill(pid, number):
    """Signals the group of a worker. It is not reaped yet, so the number is still its own."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass


def _end(pid):
    dead, status = os.waitpid(pid, os.WNOHANG)
    if dead:
        return status
    _kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def _fork_worker(descriptor, control, handled, call, items, pack):
    parent = os.getpid()
    pid = os.fork()
    if pid:
        os.setpgid(pid, pid)  # on both sides, so that it holds whichever runs first
        return pid
    try:
        control.close()
        os.setpgid(0, 0)
        _die_with(parent)
        # A scheduler signals all processes of a job. A worker finishes its item all the same: the run decides. These
        # are handlers that do nothing, since an ignored signal would be ignored in the children of the function too.
        for number in SENT_TO_ALL:
            signal.signal(number, lambda number, frame: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)
        with socket.socket(fileno=descriptor) as replies:
            _work(replies, call, items, pack)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _work(replies, call, items, pack):
    while request := replies.recv(8, socket.MSG_WAITALL):
        (index,) = struct.unpack("<Q", request)
        try:
            kind, answer = b"R", pack(call(items[index]))
        except Exception as error:
            kind, answer = b"E", _told(error)
        replies.sendall(kind + struct.pack("<I", len(answer)) + answer)


def _told(error):
    """What went wrong and where, in a line."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()[-1]
    return f"{text} ({os.path.basename(where.filename)}:{where.lineno})".encode(errors="replace")


def as_bytes(value):
    """The output of an item, where the function returns text."""
    if isinstance(value, str):
        return value.encode()
    if value is None:
        return b""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    kind = type(value).__name__
    raise TypeError(f"the function returned {kind}; return str, bytes or None, or use collect()")


def as_pickle(value):
    """The same, where it returns any object."""
    return pickle.dumps(value, protocol=4)

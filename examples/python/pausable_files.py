"""Exercise: process files; pause on SIGTSTP, go on on SIGCONT.

    $ python3 examples/python/pausable_files.py src/*.rs

Press Ctrl-Z and type `fg`, or type `kill -TSTP PID` and `kill -CONT PID` in another terminal. The
obvious program catches SIGTSTP and sets "paused". But the shell gives its prompt back only when the
process is really *stopped*, so it must take the default action after all. And a SIGCONT that comes
between the handler and that action has nothing to continue: the process stands still for ever.

Here SIGTSTP has no handler. It is blocked, so it stays pending in the kernel until the work is at a
place where it may rest; letting it through *is* the stop. A SIGCONT that comes earlier removes a pending
SIGTSTP: that is a rule of the kernel, and so there is no race.
"""
import os
import signal
import sys
import time

PAUSE = {signal.SIGTSTP}
RATE = 128 << 10  # bytes per second: so slow that there is time to press Ctrl-Z


def pause_point():
    """Called between two pieces of work: nothing is half done here."""
    if signal.SIGTSTP not in signal.sigpending():
        return
    print(f"paused; `fg` or `kill -CONT {os.getpid()}` goes on")
    # The process stops in here, until SIGCONT. In an orphaned group (`setsid`) no process could continue
    # it: there the kernel drops the signal, and the work goes on.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PAUSE)
    signal.pthread_sigmask(signal.SIG_BLOCK, PAUSE)
    print("going on")


def count_lines(path):
    lines, size = 0, 0
    with open(path, "rb") as file:
        while piece := file.read(4096):
            lines += piece.count(b"\n")
            size += len(piece)
            time.sleep(len(piece) / RATE)  # not interrupted by SIGTSTP, which waits for the next line
            pause_point()
    return f"{path}: {lines} lines, {size} bytes"


def main(paths):
    signal.pthread_sigmask(signal.SIG_BLOCK, PAUSE)
    sys.stdout.reconfigure(line_buffering=True)
    print(f"pid {os.getpid()}: {len(paths)} files")
    for path in paths:
        try:
            print(count_lines(path))
        except OSError as error:
            print(f"pausable_files: {error}", file=sys.stderr)
            return 4
    return 0


sys.exit(main(sys.argv[1:]))

"""Exercise: count the seconds; on Ctrl-C print the total elapsed time.

    $ python3 examples/python/timer.py

Press Ctrl-C, or type `kill -INT PID` in another terminal. Python's own handler of SIGINT raises
KeyboardInterrupt in the main thread, between any two bytecodes, and that ends the sleep at once. Here
this is the right tool, because nothing in this loop can be left half done. `long_job.py` has a state
that can, and needs a handler of its own.
"""
import os
import signal
import sys
import time


def main():
    sys.stdout.reconfigure(line_buffering=True)  # into a pipe, too
    began = time.monotonic()  # not time.time(), which jumps when the clock is set
    try:
        print(f"pid {os.getpid()}: counting seconds, Ctrl-C ends it")
        second = 0
        while True:
            second += 1
            # Counted from the beginning: the delay of each turn does not add up.
            time.sleep(max(0, began + second - time.monotonic()))
            print(f"{second} s")
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second Ctrl-C needs no traceback
        # The terminal has echoed "^C" without a new line.
        print(f"\nTotal elapsed time: {time.monotonic() - began:.1f} s (SIGINT)")
        # Not sys.exit(130): a shell script around us stops only if we die of the signal.
        signal.raise_signal(signal.SIGINT)
        os._exit(128 + signal.SIGINT)  # process 1 of a container does not die of it


main()

"""Exercise: print "Received custom signal" whenever SIGUSR1 comes, and keep listening.

    $ python3 examples/python/custom_signal.py
    pid 4711: waiting for SIGUSR1
    $ kill -USR1 4711      # in another terminal, as often as you like

The obvious program sets a handler that prints, and waits in `signal.pause()`. Two things are wrong
with it. A signal that comes just before `pause()` is dealt with, and then `pause()` waits for another
one. And a handler that prints while the main thread prints is refused by the buffer of standard output
("reentrant call"). Here the signals are blocked, so they wait in the kernel, and are taken one by one.
"""
import os
import signal
import sys

# One that was ignored at the start (`program &` in a script) stays ignored.
STOPS = {s for s in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(s) != signal.SIG_IGN}


def main():
    # First of all: SIGUSR1 would kill us. Threads started later, if any, would inherit this mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1} | STOPS)
    sys.stdout.reconfigure(line_buffering=True)
    print(f"pid {os.getpid()}: waiting for SIGUSR1")
    while True:
        # Waits without the GIL, and again after EINTR (PEP 475). No handler runs; this call returns.
        caught = signal.sigwaitinfo({signal.SIGUSR1} | STOPS)
        if caught.si_signo == signal.SIGUSR1:
            # Two that come faster than they are taken are one: signals say *that*, not how often.
            print(f"Received custom signal (from pid {caught.si_pid}, uid {caught.si_uid})")
            continue
        print(f"{signal.Signals(caught.si_signo).name}: end")
        signal.signal(caught.si_signo, signal.SIG_DFL)  # Python has a handler for SIGINT
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)  # forgotten, raise_signal returns
        signal.raise_signal(caught.si_signo)
        os._exit(128 + caught.si_signo)  # process 1 of a container does not die of it


main()

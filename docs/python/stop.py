"""Stop gracefully: finish the unit of work, say what is done, and die of the signal."""
import os, signal, sys, time

stop_by = None  # the number of the signal that asks us to stop


def on_stop(number, frame):
    global stop_by
    stop_by = number  # only a note: the work may be in the middle of anything
    signal.signal(number, signal.SIG_DFL)  # the same signal again does not wait for us


def main(units):
    sys.stdout.reconfigure(line_buffering=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # `nohup` and `&` mean it
            signal.signal(number, on_stop)
    print("ready")
    done = 0
    while done < units and stop_by is None:
        time.sleep(0.02)  # one unit of work
        done += 1
    print(f"{done} of {units} units are done")  # a program with a state saves it here, and before
    if stop_by is not None:
        signal.signal(stop_by, signal.SIG_DFL)
        signal.raise_signal(stop_by)  # the parent sees a death by signal, not an exit code
        os._exit(128 + stop_by)  # as process 1 of a container we are still here: never "success"


main(int(sys.argv[1]))

"""Stop gracefully: finish the unit of work, save, and die of the signal. Run again, it goes on."""
import json, os, signal, sys, time

stop_by = None  # the number of the signal that asks us to stop


def on_stop(number, frame):
    global stop_by
    stop_by = number  # only a note: the work may be in the middle of anything
    signal.signal(number, signal.SIG_DFL)  # the same signal again does not wait for us


def save(path, state):
    with open(path + ".new", "w") as new:
        json.dump(state, new)
        new.flush()
        os.fsync(new.fileno())
    os.replace(path + ".new", path)  # the old state or the new one, never half of one
    directory = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    os.fsync(directory)  # and its name
    os.close(directory)


def main(path, units):
    sys.stdout.reconfigure(line_buffering=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # `nohup` and `&` mean it
            signal.signal(number, on_stop)
    state = json.load(open(path)) if os.path.exists(path) else {"done": 0, "sum": 0}
    print(f"beginning at {state['done']}")
    while state["done"] < units and stop_by is None:
        time.sleep(0.02)  # one unit of work
        state = {"done": state["done"] + 1, "sum": state["sum"] + state["done"] ** 2}
        if state["done"] % 10 == 0:
            save(path, state)  # for the SIGKILL that nobody can catch
            print(f"saved {state['done']}")
    save(path, state)
    if stop_by is not None:
        print(f"stopped at {state['done']}")
        signal.signal(stop_by, signal.SIG_DFL)
        signal.raise_signal(stop_by)  # the parent sees a death by signal, not an exit code
        os._exit(128 + stop_by)  # as process 1 of a container we are still here: never "success"
    print(f"finished: {state['sum']}")


main(sys.argv[1], int(sys.argv[2]))

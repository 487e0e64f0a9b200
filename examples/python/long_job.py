"""Exercise: a long data processing (simulated) that saves its progress, and goes on where it was.

    $ python3 examples/python/long_job.py result.txt 60

Stop it with Ctrl-C, `kill -TERM PID` or even `kill -KILL PID`, and start it again: it goes on, and
`result.txt` becomes the same, byte for byte, as without the interruption.
"""
import json
import os
import signal
import sys
import time

stop_by = None  # the number of the signal that asks us to stop


def on_stop(number, frame):
    """Python runs this in the main thread, between any two bytecodes: it only takes a note."""
    global stop_by
    stop_by = number
    signal.signal(number, signal.SIG_DFL)  # the same signal again does not wait for us


def sync(file):
    file.flush()  # from Python to the kernel
    os.fsync(file.fileno())  # and from the kernel to the disk


def rename(old, new):
    """The new name is there with all that was synced, or not at all."""
    os.replace(old, new)
    directory = os.open(os.path.dirname(os.path.abspath(new)), os.O_RDONLY)
    os.fsync(directory)  # a name is on the disk when its directory is
    os.close(directory)


class Progress:
    """The output so far in PATH.part, and in PATH.progress a record of how much of it counts."""

    def __init__(self, path):
        self.path, self.record, self.done, self.total, length = path, path + ".progress", 0, 0, 0
        if os.path.exists(self.record):
            with open(self.record) as record:
                self.done, self.total, length = json.load(record)
        self.output = open(path + ".part", "ab")
        if self.output.tell() < length:
            sys.exit(f"long_job: {path}.part is shorter than {self.record} says")
        self.output.truncate(length)  # what was not saved is made again

    def add(self, number):
        self.output.write(f"block {self.done}: {number:016x}\n".encode())
        self.done, self.total = self.done + 1, (self.total + number) % 2**64

    def save(self):
        """The bytes first, then the record that counts them."""
        sync(self.output)
        with open(self.record + ".new", "w") as new:
            json.dump([self.done, self.total, self.output.tell()], new)
            sync(new)
        rename(self.record + ".new", self.record)
        print(f"saved: {self.done} blocks")

    def finish(self):
        self.output.write(f"total: {self.total:016x}\n".encode())
        sync(self.output)
        rename(self.path + ".part", self.path)  # the result appears when it is complete
        os.remove(self.record)


def crunch(block):
    number = block
    for _ in range(20):
        # A handler that raises nothing does not end the sleep (PEP 475). So the note is seen after the
        # block, and a block must be short.
        time.sleep(0.0025)
        number = (number * 6_364_136_223_846_793_005 + 1) % 2**64
    return number


def main(path, count):
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:  # `nohup` and `&` mean it
            signal.signal(number, on_stop)
    sys.stdout.reconfigure(line_buffering=True)
    print(f"pid {os.getpid()}: {count} blocks into {path}")
    if os.path.exists(path):
        print("was finished before")
        return
    progress, saved = Progress(path), time.monotonic()
    if progress.done:
        print(f"going on: {progress.done} blocks were done before")
    while progress.done < count and stop_by is None:
        progress.add(crunch(progress.done))
        if time.monotonic() - saved > 0.5:  # for SIGKILL, which no program can catch
            progress.save()
            saved = time.monotonic()
    progress.save()
    if stop_by is not None:
        print(f"stopped, {progress.done} blocks are safe; the same command goes on")
        signal.signal(stop_by, signal.SIG_DFL)
        signal.raise_signal(stop_by)  # the parent sees a death by signal, not an exit code
        os._exit(128 + stop_by)  # process 1 of a container does not die of it: never "success"
    progress.finish()
    print("finished")


main(sys.argv[1], int(sys.argv[2]))

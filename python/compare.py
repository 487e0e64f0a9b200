"""What a signal does to a parallel map in Python: multiprocessing, concurrent.futures, joblib and bivouac.

    python3 compare.py        (joblib is left out if it is not installed)

Each program maps the same function over 200 items, 20 ms each, with two processes, and writes the results to a file.
Half-way it gets the signal; then the same program is started again. The table says how it ended, whether processes
were left behind, how many lines of traceback it printed, and how many of the 200 items were computed twice or more.
"""

import importlib.util
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

COUNT = 200
WORK = f"""
import os, time
def work(n):
    time.sleep(0.02)
    with open("begun", "a") as begun:
        begun.write(f"{{n}} {{os.getpid()}}\\n")
    return f"{{n * n}}\\n"
COUNT = {COUNT}
"""
PROGRAMS = {
    "multiprocessing.Pool": """
from multiprocessing import Pool
if __name__ == "__main__":
    with Pool(2) as pool:
        results = pool.map(work, range(COUNT), chunksize=1)
    open("out", "w").writelines(results)
""",
    "concurrent.futures": """
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        results = list(pool.map(work, range(COUNT)))
    open("out", "w").writelines(results)
""",
    "joblib": """
from joblib import Parallel, delayed
if __name__ == "__main__":
    results = Parallel(n_jobs=2)(delayed(work)(n) for n in range(COUNT))
    open("out", "w").writelines(results)
""",
    "bivouac": """
import bivouac
if __name__ == "__main__":
    bivouac.resumable(range(COUNT)).map(work).write_to("out", jobs=2).main()
""",
}


def begun(directory):
    path = directory / "begun"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def until(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.005)


def alive(pid):
    try:
        return re.search(r"\) (.)", pathlib.Path(f"/proc/{pid}/stat").read_text())[1] != "Z"
    except FileNotFoundError:
        return False


def interrupt(name, number, whole_group):
    """One row: the program is signalled half-way, then started again."""
    with tempfile.TemporaryDirectory() as place:
        directory = pathlib.Path(place)
        (directory / "program.py").write_text(WORK + PROGRAMS[name])
        start = lambda: subprocess.Popen(
            [sys.executable, "program.py"], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )
        first = start()
        until("half of the work", lambda: len(begun(directory)) >= COUNT // 2)
        (os.killpg if whole_group else os.kill)(first.pid, number)
        try:
            first.wait(timeout=5)
            code = first.returncode
            ended = f"died of {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        except subprocess.TimeoutExpired:
            ended = "hangs"
        time.sleep(0.5)  # for workers that end a little later
        left = sum(alive(pid) for pid in {pid for _, pid in begun(directory)}) if ended != "hangs" else "–"
        try:
            os.killpg(first.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        err = first.communicate()[1]
        traceback = len(err.splitlines()) if "Traceback" in err else 0
        second = start()
        second.communicate(timeout=60)
        items = [item for item, _ in begun(directory)]
        again = sum(items.count(item) > 1 for item in set(items))
        return ended, left, traceback, again


def main():
    print("| signal | program | ended | processes left | lines of traceback | items computed twice, of 200 |")
    print("|---|---|---|---|---|---|")
    for what, number, group in (
        ("SIGTERM to the program", signal.SIGTERM, False),
        ("Ctrl-C (SIGINT to the group)", signal.SIGINT, True),
        ("SIGKILL to the program", signal.SIGKILL, False),
    ):
        for name in PROGRAMS:
            if name == "joblib" and importlib.util.find_spec("joblib") is None:
                continue
            row = interrupt(name, number, group)
            print("|", " | ".join(map(str, (what, name, *row))), "|", flush=True)


main()

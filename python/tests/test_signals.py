"""Real signals to real programs: what a run saves, how it ends, and that the next one continues.

No test sleeps and hopes: a program says when it is ready, by a file or a line, and a test waits for it with a deadline.
"""

import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

DEADLINE = 120
EXPECTED = "".join(f"{n * n}\n" for n in range(60))

# Item 0 to 59; from item 10 on each one waits until the test allows it, by a file.
PROGRAM = """
    import bivouac, os, time
    def square(n):
        with open("begun", "a") as begun:
            begun.write(f"{n} {os.getpid()}\\n")
        while n >= 10 and not os.path.exists("go"):
            time.sleep(0.005)
        return f"{n * n}\\n"
    bivouac.resumable(range(60)).map(square).write_to("out", jobs=2, checkpoint_every=0.05, grace=0.2).main()
"""


def until(what, condition):
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"no {what} within {DEADLINE} s")
        time.sleep(0.005)
    return value


class Case(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = pathlib.Path(directory.name)
        self.process = None

    def start(self, program=PROGRAM, **options):
        (self.dir / "program.py").write_text(textwrap.dedent(program))
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(
            [sys.executable, "program.py"], cwd=self.dir, start_new_session=True, **{**pipes, **options}
        )
        self.process = process
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def run_to_the_end(self, program=PROGRAM):
        process = self.start(program)
        out, err = process.communicate(timeout=DEADLINE)
        return process.returncode, out, err

    def begun(self):
        path = self.dir / "begun"
        lines = path.read_text().splitlines() if path.exists() else []
        return [tuple(map(int, line.split())) for line in lines if len(line.split()) == 2]

    def until_at_work(self):
        def is_at_work():
            if self.process and self.process.poll() is not None:
                self.fail(f"the program has ended: {self.process.communicate()[1]}")
            return sum(item >= 10 for item, _ in self.begun()) == 2

        until("item at work", is_at_work)

    def go(self):
        (self.dir / "go").touch()

    def expect_the_whole(self):
        self.assertEqual((self.dir / "out").read_text(), EXPECTED)
        self.assertFalse((self.dir / "out.part").exists())


class Signals(Case):
    def test_term_saves_and_the_next_run_continues(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(number):
                self.setUp()
                process = self.start()
                self.until_at_work()
                process.send_signal(number)
                _, err = process.communicate(timeout=DEADLINE)
                self.assertEqual(process.returncode, -number, err)
                self.assertIn(f"stopped by {signal.Signals(number).name}: 10 of 60 items are saved", err)
                self.assertFalse((self.dir / "out").exists(), "an output is never partial")
                self.go()
                code, _, err = self.run_to_the_end()
                self.assertEqual(code, 0, err)
                self.assertIn("resumed after 10 of 60 items", err)
                self.assertIn("finished: 60 items, 2 runs", err)
                self.expect_the_whole()
                early = [item for item, _ in self.begun() if item < 10]
                self.assertEqual(sorted(early), list(range(10)), "what is saved is not done again")

    def test_within_the_grace_items_at_work_finish(self):
        process = self.start(PROGRAM.replace("grace=0.2", "grace=None"))
        self.until_at_work()
        process.send_signal(signal.SIGTERM)
        until("message", lambda: "stopping" in process.stderr.readline())
        self.go()
        _, err = process.communicate(timeout=DEADLINE)
        self.assertIn("12 of 60 items are saved", err)

    def test_kill_leaves_no_process_and_loses_only_what_was_at_work(self):
        process = self.start()
        self.until_at_work()
        until("checkpoint", lambda: (self.dir / "out.part").exists() and (self.dir / "out.part").stat().st_size > 20)
        process.kill()
        process.communicate(timeout=DEADLINE)
        for pid in {pid for _, pid in self.begun()}:
            until(f"end of worker {pid}", lambda: not alive(pid))
        self.go()
        self.assertEqual(self.run_to_the_end()[0], 0)
        self.expect_the_whole()

    def test_usr1_saves_now_and_goes_on(self):
        process = self.start(PROGRAM.replace("checkpoint_every=0.05", "checkpoint_every=1000"))
        self.until_at_work()
        process.send_signal(signal.SIGUSR1)
        until("report", lambda: "10 of 60 items are saved" in process.stderr.readline())
        self.go()
        process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 0)
        self.expect_the_whole()

    def test_usr2_stops_with_75(self):
        process = self.start()
        self.until_at_work()
        process.send_signal(signal.SIGUSR2)
        process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 75)

    def test_a_pause_holds_the_workers_too(self):
        process = self.start()
        self.until_at_work()
        workers = {pid for _, pid in self.begun()}
        for stop, go_on in ((signal.SIGTSTP, signal.SIGCONT), (signal.SIGURG, signal.SIGCONT)):
            process.send_signal(stop)
            until("workers that stand still", lambda: all(state(pid) == "T" for pid in workers))
            process.send_signal(go_on)
            until("workers that go on", lambda: all(state(pid) in "SR" for pid in workers))
        self.go()
        process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 0)
        self.expect_the_whole()

    def test_a_signal_to_every_process_of_the_job_loses_nothing(self):
        process = self.start()
        self.until_at_work()
        for pid in {pid for _, pid in self.begun()}:
            os.kill(pid, signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, -signal.SIGTERM, err)
        self.go()
        self.assertEqual(self.run_to_the_end()[0], 0)
        self.expect_the_whole()

    def test_a_worker_that_is_killed_with_the_job_is_no_failure(self):
        process = self.start()
        self.until_at_work()
        for pid in {pid for _, pid in self.begun()}:
            os.kill(pid, signal.SIGKILL)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, -signal.SIGTERM, err)

    def test_ctrl_c_and_ctrl_z_on_a_terminal(self):
        (self.dir / "program.py").write_text(textwrap.dedent(PROGRAM))
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execvp("bash", ["bash", "--norc", "-i"])
        self.addCleanup(os.close, terminal)
        typed(terminal, "PS1='ready> '\n")
        screen(terminal, "ready> $")
        typed(terminal, f"{sys.executable} program.py\n")
        self.until_at_work()
        workers = {pid for _, pid in self.begun()}
        typed(terminal, "\x1a")
        screen(terminal, "Stopped(.|\n)*ready> $")
        self.assertEqual({state(pid) for pid in workers}, {"T"})
        typed(terminal, "fg\n")
        until("workers that go on", lambda: all(state(pid) in "SR" for pid in workers))
        typed(terminal, "\x03")
        text = screen(terminal, "stopped by SIGINT(.|\n)*ready> $")
        self.assertNotIn("Traceback", text)
        typed(terminal, "echo code $?\n")
        screen(terminal, "code 130(.|\n)*ready> $")
        typed(terminal, "exit\n")
        os.waitpid(pid, 0)


class Items(Case):
    def program(self, body, options=""):
        return f"""
            import bivouac, os, signal
            def call(n):
                {body}
                return f"{{n}}\\n"
            bivouac.resumable([1, 2, 3, 4]).map(call).write_to("out", jobs=2{options}).main()
        """

    def test_an_exception_names_item_and_line_and_the_mended_program_continues(self):
        code, _, err = self.run_to_the_end(self.program("1 / (n - 3)"))
        self.assertEqual(code, 4)
        self.assertRegex(err, r"item 3: .*ZeroDivisionError: division by zero \(program.py:4\)")
        code, _, err = self.run_to_the_end(self.program("pass"))
        self.assertEqual((code, (self.dir / "out").read_text()), (0, "1\n2\n3\n4\n"), err)

    def test_a_worker_that_dies_is_a_failure_of_its_item(self):
        for body, why in (("n == 2 and os._exit(7)", "exited with 7"), ("n == 2 and os.abort()", "signal 6")):
            with self.subTest(body):
                self.setUp()
                code, _, err = self.run_to_the_end(self.program(body, ", keep_going=True"))
                self.assertEqual((code, (self.dir / "out").read_text()), (1, "1\n3\n4\n"), err)
                self.assertRegex(err, f"item 2 failed and is left out: its worker process .*{why}")

    def test_other_items_or_another_function_are_refused(self):
        self.assertEqual(self.run_to_the_end(self.program("n == 4 and 1 / 0"))[0], 4)
        for old, new in (("[1, 2, 3, 4]", "[1, 2, 3, 5]"), ("call", "other")):
            code, _, err = self.run_to_the_end(self.program("pass").replace(old, new))
            self.assertEqual(code, 3, err)
            self.assertNotIn("--", err, "options of the tool are not known here")

    def test_a_second_run_at_the_same_time_is_refused(self):
        process = self.start()
        self.until_at_work()
        self.assertEqual(self.run_to_the_end()[0], 5)
        self.go()
        process.communicate(timeout=DEADLINE)
        self.expect_the_whole()

    def test_collect_gives_objects_of_a_closure_and_gives_them_again(self):
        program = """
            import bivouac
            by = 3
            for _ in range(2):
                found = bivouac.resumable({"a": 1, "bc": 2}.items()).map(lambda pair: {pair[0]: pair[1] * by}).collect("r")
                print(found)
            assert bivouac.resumable([]).map(len).collect("empty") == []
        """
        code, out, err = self.run_to_the_end(program)
        self.assertEqual((code, out), (0, "[{'a': 3}, {'bc': 6}]\n" * 2), err)

    def test_run_leaves_signals_as_they_were(self):
        program = """
            import bivouac, signal
            found = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
            outcome = bivouac.resumable("ab").map(str.upper).write_to("out", quiet=True).run()
            assert outcome.finished and not outcome.already and outcome.done == 2, outcome
            assert found == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
            assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                print("python handles it again")
        """
        self.assertEqual(self.run_to_the_end(program)[:2], (0, "python handles it again\n"))

    def test_what_a_function_prints_is_seen_and_a_wrong_result_is_said(self):
        code, out, err = self.run_to_the_end(self.program("print('hello')").replace('f"{n}\\n"', "n"))
        self.assertEqual((code, "hello\n" in out), (4, True))
        self.assertIn("the function returned int; return str, bytes or None, or use collect()", err)


def state(pid):
    try:
        return re.search(r"\) (.)", pathlib.Path(f"/proc/{pid}/stat").read_text())[1]
    except FileNotFoundError:
        return "gone"


def alive(pid):
    return state(pid) not in ("gone", "Z")


def typed(terminal, text):
    os.write(terminal, text.encode())


def screen(terminal, pattern):
    """Reads until what came since the last call matches."""
    text, end = "", time.monotonic() + DEADLINE
    while not re.search(pattern, text):
        if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            raise AssertionError(f"no {pattern!r} in {text!r}")
        text += os.read(terminal, 4096).decode(errors="replace").replace("\r", "")
    return text


if __name__ == "__main__":
    unittest.main()

"""``millpond spawn``: several processes that run one program together, started and watched."""

from __future__ import annotations

import argparse
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time

_UNAVAILABLE = 7
_FAILED_GRACE_S = 5.0
"""How long processes may take to end after one has failed; then they are told to, and later killed."""
_STOP_GRACE_S = 30.0
"""How long they may take after a signal, to finish what they have read and to save it; then they are killed."""
_HURRY_S = 1.0
"""How long they may take after a second signal."""


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser(
        "spawn",
        help="run a program in several processes",
        description="Runs a program, Python or any other that uses Millpond, in several processes that share the work.",
    )
    parser.add_argument("-n", "--processes", type=_count, metavar="PROCESSES", help="the number of processes (1)")
    parser.add_argument(
        "-t", "--threads", type=_count, default=1, metavar="THREADS", help="threads of each process (1)"
    )
    parser.add_argument("--first-port", type=int, metavar="PORT", help="use ports from here on, not any free ones")
    parser.add_argument(
        "--addresses",
        metavar="HOST:PORT,...",
        help="the addresses of all processes, of which some may run on other machines; "
        "other addresses than loopback need MILLPOND_SECRET",
    )
    parser.add_argument(
        "--process-id", type=int, metavar="NUMBER", help="start this process only; the others are started elsewhere"
    )
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="where process 0 writes the report of a run, unless the program names a file (MILLPOND_REPORT)",
    )
    parser.add_argument(
        "--grace",
        type=_seconds,
        default=_STOP_GRACE_S,
        metavar="SECONDS",
        help="how long processes may take to end after SIGINT or SIGTERM, before they are killed (30)",
    )
    parser.add_argument("program", help="the program; a .py file is run by this Python")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")
    parser.set_defaults(do=start)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 256, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number of seconds, not {text!r}")
    return seconds


def start(arguments: argparse.Namespace) -> int:
    """Starts the processes and waits for them; returns the exit code."""
    addresses = _addresses(arguments)
    if addresses is None:
        return 2
    processes = range(len(addresses))
    if arguments.process_id is not None:
        if arguments.process_id not in processes:
            return _say(f"there is no process {arguments.process_id} of {len(addresses)}: the first is process 0", 2)
        processes = range(arguments.process_id, arguments.process_id + 1)
    env = dict(os.environ)
    env |= {"MILLPOND_PROCESSES": str(len(addresses)), "MILLPOND_ADDRESSES": ",".join(addresses)}
    env["MILLPOND_WORKERS"] = str(arguments.threads)
    if arguments.report is not None:
        env["MILLPOND_REPORT"] = arguments.report
    if arguments.addresses is None:
        # Other users of this machine must not take part.
        env.setdefault("MILLPOND_SECRET", os.urandom(32).hex())
    command = [arguments.program, *arguments.arguments]
    if arguments.program.endswith(".py") and not os.access(arguments.program, os.X_OK):
        command.insert(0, sys.executable)
    return _Supervisor(arguments.grace).run(command, env, processes)


def _addresses(arguments: argparse.Namespace) -> list[str] | None:
    if arguments.addresses is not None:
        addresses = [address.strip() for address in arguments.addresses.split(",")]
        if arguments.processes not in (None, len(addresses)):
            _say(f"--addresses names {len(addresses)} addresses for {arguments.processes} processes", 2)
            return None
        return addresses
    count = arguments.processes or 1
    if arguments.first_port is not None:
        if not 0 < arguments.first_port <= 65536 - count:
            _say(f"--first-port: expected a port from 1 to {65536 - count}, not {arguments.first_port}", 2)
            return None
        return [f"127.0.0.1:{arguments.first_port + process}" for process in range(count)]
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    finally:
        for one in held:
            one.close()


class _Supervisor:
    def __init__(self, grace_s: float) -> None:
        self.grace_s = grace_s
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self.events: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        """``("ended", process)`` and ``("signal", number)``, in the order in which they came."""
        self.asked: int | None = None
        """The signal that came first."""
        self.hurry = False
        # Nothing is ever written to it. Its writing end is open as long as this process is there, whatever ends it.
        self.pipe = os.pipe()

    def run(self, command: list[str], env: dict[str, str], processes: range) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            # It does no more than that: one handler may be called inside another.
            signal.signal(number, lambda number, _frame: self.events.put(("signal", number)))
        try:
            for process in processes:
                own = env | {"MILLPOND_PROCESS_ID": str(process), "MILLPOND_SPAWNER_FD": str(self.pipe[0])}
                # Each in a group of its own: a Ctrl-C at the terminal comes to it once, from here.
                child = subprocess.Popen(command, env=own, start_new_session=True, pass_fds=self.pipe[:1])
                self.running[process] = child
                threading.Thread(target=self._wait, args=(process, child), daemon=True).start()
        except OSError as error:
            self._end()
            return _say(f"cannot start {command[0]}: {error.strerror}", 2)
        return self._watch()

    def _wait(self, process: int, child: subprocess.Popen[bytes]) -> None:
        child.wait()
        self.events.put(("ended", process))

    def _watch(self) -> int:
        failed: int | None = None
        told = False
        deadline: float | None = None
        while self.running:
            try:
                timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
                event, number = self.events.get(timeout=timeout)
            except queue.Empty:
                if told or self.asked is not None:
                    self._kill()
                    deadline = None
                else:
                    self._signal(signal.SIGTERM)
                    told, deadline = True, time.monotonic() + _FAILED_GRACE_S
                continue
            if event == "signal":
                grace_s = self._take_signal(number)
                if grace_s is not None:
                    deadline = time.monotonic() + grace_s
                continue
            child = self.running.pop(number)
            if child.returncode != 0 and failed is None and self.asked is None:
                _say(f"process {number} (pid {child.pid}) {_how(child.returncode)}", child.returncode)
                failed = child.returncode if child.returncode > 0 else _UNAVAILABLE
                deadline = time.monotonic() + _FAILED_GRACE_S
        if failed is not None:
            return failed
        return 0 if self.asked is None else 128 + self.asked

    def _take_signal(self, number: int) -> float | None:
        """Passes a signal on; returns how long the processes may take now. More than two say nothing new."""
        if self.hurry:
            return None
        self.hurry = self.asked is not None
        self.asked = self.asked or number
        self._signal(number)
        return min(self.grace_s, _HURRY_S) if self.hurry else self.grace_s

    def _signal(self, number: int) -> None:
        for child in self.running.values():
            child.send_signal(number)

    def _kill(self) -> None:
        for process, child in self.running.items():
            _say(f"process {process} (pid {child.pid}) did not end in time and was killed", 0)
            child.kill()

    def _end(self) -> None:
        for child in self.running.values():
            child.kill()
            child.wait()


def _how(code: int) -> str:
    return f"ended with exit code {code}" if code > 0 else f"was killed by {signal.Signals(-code).name}"


def _say(text: str, code: int) -> int:
    print(f"millpond spawn: {text}", file=sys.stderr)
    return code

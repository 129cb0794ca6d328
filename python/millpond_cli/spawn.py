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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

_UNAVAILABLE = 7
_GRACE_S = 5.0
"""How long processes may take to end after one has failed; then they are told to, and later killed."""


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
    parser.add_argument("program", help="the program; a .py file is run by this Python")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")
    parser.set_defaults(do=start)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 256, not {text!r}")
    return int(text)


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
    return _Supervisor().run(command, env, processes)


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
    def __init__(self) -> None:
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self.ended: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.asked: int | None = None
        self.early: int | None = None
        """A signal that came before all were started."""
        self.started = False
        # Nothing is ever written to it. Its writing end is open as long as this process is there, whatever ends it.
        self.pipe = os.pipe()

    def run(self, command: list[str], env: dict[str, str], processes: range) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._forward)
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
        self.started = True
        if self.early is not None:
            self._signal(self.early)
        return self._watch()

    def _forward(self, number: int, frame: FrameType | None) -> None:
        self.asked = number
        if self.started:
            self._signal(number)
        else:
            self.early = number

    def _signal(self, number: int) -> None:
        for child in list(self.running.values()):
            child.send_signal(number)

    def _wait(self, process: int, child: subprocess.Popen[bytes]) -> None:
        child.wait()
        self.ended.put(process)

    def _watch(self) -> int:
        failed: int | None = None
        patience: float | None = None
        told = False
        while self.running:
            try:
                process = self.ended.get(timeout=patience)
            except queue.Empty:
                for child in self.running.values():
                    child.kill() if told else child.terminate()
                told = True
                continue
            child = self.running.pop(process)
            if child.returncode != 0 and failed is None and self.asked is None:
                _say(f"process {process} (pid {child.pid}) {_how(child.returncode)}", child.returncode)
                failed, patience = (child.returncode if child.returncode > 0 else _UNAVAILABLE), _GRACE_S
        if failed is not None:
            return failed
        return 0 if self.asked is None else 128 + self.asked

    def _end(self) -> None:
        for child in self.running.values():
            child.kill()
            child.wait()


def _how(code: int) -> str:
    return f"ended with exit code {code}" if code > 0 else f"was killed by {signal.Signals(-code).name}"


def _say(text: str, code: int) -> int:
    print(f"millpond spawn: {text}", file=sys.stderr)
    return code

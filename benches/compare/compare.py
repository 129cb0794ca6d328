"""Compares Millpond with other engines, and measures restarts.

Every engine is a process of its own; engines take turns, round by round, and medians are shown. Before anything is
measured, the results are checked to be equal. Compare figures of one run only: machines are noisy.

Prints a table and writes JSON, from which `plot.py` draws the chart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from figures import figures, print_figures, print_samples
from measure import Failed, Sample, Samples, bytes_under, can_drop_caches, drop_caches, run, syncs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SIZES = {"1m": (1_000_000, 20_000, 4), "10m": (10_000_000, 200_000, 8)}
SECTIONS = ("check", "first", "pathway", "count", "windows", "restart", "cores", "processes", "epochs", "wheel")
FORMS = {"full": [], "append-only": ["--append-only"]}


@dataclass(frozen=True)
class Engine:
    """A program that reads the CSV files of a folder and writes one CSV file."""

    name: str
    command: Callable[[Path, Path, Path], list[str]]
    env: dict[str, str] = field(default_factory=dict)


class Bench:
    def __init__(self, args: argparse.Namespace) -> None:
        self.rounds: int = args.rounds
        self.pathway_rounds: int = args.pathway_rounds
        self.work: Path = args.work.resolve()
        self.peers: Path = args.peers_python
        self.python: Path = args.millpond_python
        self.sessions: Path = args.programs / "bench_sessions"
        self.epochs: Path = args.programs / "bench_epochs"
        self.wheel: Path | None = args.wheel
        self.results: dict[str, Any] = {
            "machine": machine(),
            "rounds": self.rounds,
            "pathway_rounds": self.pathway_rounds,
        }

    # What runs.

    def rust(self, name: str, *flags: str, state: bool = True) -> Engine:
        def command(source: Path, target: Path, saved: Path) -> list[str]:
            words = [str(self.sessions), "--input", str(source), "--output", str(target), *flags]
            return [*words, "--state", str(saved)] if state else words

        return Engine(name, command)

    def in_python(self, name: str, *flags: str) -> Engine:
        def command(source: Path, target: Path, saved: Path) -> list[str]:
            program = [str(self.python), str(HERE / "millpond_sessions.py"), *flags]
            return [*program, "--input", str(source), "--output", str(target), "--state", str(saved)]

        return Engine(name, command)

    def peer(self, name: str, program: str, *flags: str) -> Engine:
        def command(source: Path, target: Path, _: Path) -> list[str]:
            return [str(self.peers), str(HERE / "peers" / program), str(source), str(target), *flags]

        return Engine(name, command, {"POLARS_MAX_THREADS": "2", "PATHWAY_THREADS": "2"})

    def has_rust(self) -> bool:
        return self.sessions.exists()

    def has_python(self) -> bool:
        probe = [str(self.python), "-c", "import millpond"]
        return self.python.exists() and subprocess.run(probe, capture_output=True, check=False).returncode == 0

    # Where it runs.

    def data(self, size: str) -> Path:
        """The workload, generated once."""
        folder = self.work / f"data-{size}"
        if not folder.exists():
            say(f"generating {size}")
            rows, users, files = SIZES[size]
            unfinished = self.work / f"data-{size}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            numbers = ["--rows", str(rows), "--users", str(users), "--files", str(files)]
            subprocess.run([str(self.peers), str(HERE / "workload.py"), str(unfinished), *numbers], check=True)
            unfinished.rename(folder)
        (folder / "input" / "visits_new.csv").unlink(missing_ok=True)
        return folder

    def fresh(self, name: str) -> Path:
        path = self.work / name
        shutil.rmtree(path, ignore_errors=True)
        path.unlink(missing_ok=True)
        return path

    def once(self, engine: Engine, source: Path, target: Path) -> Sample:
        """One first run: no state, no result."""
        return run(engine.command(source, target, self.fresh("state")), env=engine.env)

    def alternate(self, engines: list[Engine], source: Path, rounds: int) -> dict[str, Samples]:
        samples = {engine.name: Samples() for engine in engines}
        for number in range(rounds):
            for engine in engines:
                target = self.fresh("result.csv")
                sample = self.once(engine, source, target)
                samples[engine.name].all.append(sample)
                say(f"  round {number + 1} {engine.name}: {sample.wall_s:.2f} s, {sample.cpu_s:.2f} CPU s")
        return samples

    def record(self, section: str, samples: dict[str, Samples]) -> None:
        self.results[section] = {name: sample.as_json() for name, sample in samples.items()}

    # The sections.

    def check(self, size: str) -> None:
        """Every engine's sessions and counts are the same; so is a first run plus a restart."""
        source = self.data(size) / "input"
        target = self.fresh("result.csv")
        reference = self.peer("DuckDB, numbered by window", "duckdb_sessions.py", "--by-window")
        self.once(reference, source, target)
        sessions = table_of(target)
        engines = [self.peer("DuckDB", "duckdb_sessions.py"), self.peer("Polars", "polars_sessions.py")]
        if self.has_rust():
            engines += [self.rust(f"Millpond, {form}", *flags) for form, flags in FORMS.items()]
            engines.append(self.rust("Millpond, computed", "--computed"))
            engines.append(self.rust("Millpond, one worker", "--workers", "1"))
        if self.has_python():
            engines.append(self.in_python("Millpond, Python"))
            engines.append(self.in_python("Millpond, Python, computed", "--computed"))
        for engine in engines:
            self.once(engine, source, target)
            # The program with a computed column writes one more, which is left out here.
            found = table_of(target, columns=5)
            assert_equal(engine.name, found, sessions)
        for what, flags, flag in (("counts", (), "--count"), ("windows", ("--windows",), "--windows")):
            counts: Counter[bytes] | None = None
            for engine in self.counting(flags, flag):
                self.once(engine, source, target)
                found = table_of(target)
                counts = counts or found
                assert_equal(f"{engine.name}, {what}", found, counts)
        if self.has_rust():
            self.check_restart(size, reference)
        say(f"{size}: all results are equal ({sum(sessions.values()):,} sessions)")

    def check_restart(self, size: str, reference: Engine) -> None:
        data = self.data(size)
        target = self.work / "result.csv"
        for form, flags in FORMS.items():
            engine = self.rust(form, *flags)
            state = self.fresh("state")
            command = engine.command(data / "input", target, state)
            run(command)
            changes = table_of(target)
            with NewRows(data):
                run(command)
                changes.update(table_of(target))
                self.once(reference, data / "input", target)
            assert_equal(f"restart, {form}", +changes, table_of(target))

    def first(self, size: str) -> None:
        engines = [self.peer("DuckDB", "duckdb_sessions.py"), self.peer("Polars", "polars_sessions.py")]
        if self.has_rust():
            engines.insert(0, self.rust("Millpond"))
            engines.append(self.rust("Millpond, append-only", *FORMS["append-only"]))
            engines.append(self.rust("Millpond, computed", "--computed"))
        if self.has_python():
            engines.append(self.in_python("Millpond, Python"))
        source = self.data(size) / "input"
        say(f"first run, {size}")
        self.record(f"first_{size}", self.alternate(engines, source, self.rounds))
        if self.has_rust():
            self.state_sizes(size)

    def state_sizes(self, size: str) -> None:
        source = self.data(size) / "input"
        plain = bytes_under(source)
        ratios = {}
        for form, flags in FORMS.items():
            self.once(self.rust(form, *flags), source, self.fresh("result.csv"))
            ratios[form] = bytes_under(self.work / "state") / plain
        self.results[f"state_{size}"] = {"input_bytes": plain, "ratio": ratios}

    def pathway(self) -> None:
        """Pathway takes minutes: fewer rounds, the small size only."""
        source = self.data("1m") / "input"
        say("against Pathway, 1m")
        engines = [self.peer("Pathway", "pathway_sessions.py")]
        if self.has_rust():
            engines.insert(0, self.rust("Millpond"))
        samples = self.alternate(engines, source, self.pathway_rounds)
        found = table_of(self.work / "result.csv")
        target = self.fresh("reference.csv")
        self.once(self.peer("DuckDB", "duckdb_sessions.py"), source, target)
        assert_equal("Pathway", found, table_of(target))
        self.record("pathway_1m", samples)

    def counting(self, peer_flags: tuple[str, ...], flag: str) -> list[Engine]:
        """Engines that count visits."""
        peers = [("DuckDB", "duckdb_count.py"), ("Polars", "polars_count.py")]
        engines = [self.peer(name, script, *peer_flags) for name, script in peers]
        return [self.rust("Millpond", flag), *engines] if self.has_rust() else engines

    def count(self, size: str) -> None:
        say(f"count per user, {size}")
        engines = self.counting((), "--count")
        self.record(f"count_{size}", self.alternate(engines, self.data(size) / "input", self.rounds))

    def windows(self, size: str) -> None:
        say(f"count per user and window of 300 s, {size}")
        engines = self.counting(("--windows",), "--windows")
        self.record(f"windows_{size}", self.alternate(engines, self.data(size) / "input", self.rounds))

    def restart(self, sizes: list[str]) -> None:
        """1,000 new rows on a state that was saved before; every round starts from a copy of it."""
        engines = {f"Rust, {form}": self.rust(form, *flags) for form, flags in FORMS.items()}
        if self.has_python():
            engines["Python, full"] = self.in_python("Python, full")
        samples: dict[str, Samples] = {}
        counted: dict[str, int | None] = {}
        saved = {}
        for size in sizes:
            for form, flags in FORMS.items():
                state = self.fresh(f"state-{size}-{form}")
                result = self.fresh(f"first-{size}.csv")
                run(self.rust(form, *flags).command(self.data(size) / "input", result, state))
                saved[size, form] = state
        for number in range(max(self.rounds, 7)):
            for size in sizes:
                for name, engine in engines.items():
                    state = saved[size, "append-only" if "append-only" in name else "full"]
                    for kind in self.restart_kinds(name):
                        sample = self.restart_once(engine, size, state, kind)
                        samples.setdefault(f"{name}, {size}, {kind}", Samples()).all.append(sample)
                    if number == 0 and name.startswith("Rust"):
                        counted[f"{name}, {size}"] = self.restart_syncs(engine, size, state)
        for name, rounds in samples.items():
            say(f"  restart {name}: {rounds.wall_s * 1e3:.1f} ms")
        self.record("restart", samples)
        self.results["restart_syncs"] = counted
        for state in saved.values():
            shutil.rmtree(state)
        for size in sizes:
            self.fresh(f"first-{size}.csv")

    def restart_kinds(self, name: str) -> list[str]:
        """A restart replaces the last run's result file; removing the large one of a first run costs the most."""
        if name != "Rust, full":
            return ["warm"]
        return ["warm", "after the first run", *(["cold"] if can_drop_caches() else [])]

    def restart_once(self, engine: Engine, size: str, saved: Path, kind: str) -> Sample:
        data = self.data(size)
        target = self.fresh("result.csv")
        if kind == "after the first run":
            shutil.copyfile(self.work / f"first-{size}.csv", target)
        else:
            shutil.copyfile(data / "new.csv", target)
        state = self.fresh("state")
        shutil.copytree(saved, state)
        with NewRows(data):
            if kind == "cold":
                drop_caches()
            return run(engine.command(data / "input", target, state))

    def restart_syncs(self, engine: Engine, size: str, saved: Path) -> int | None:
        data = self.data(size)
        state = self.fresh("state")
        shutil.copytree(saved, state)
        with NewRows(data):
            return syncs(engine.command(data / "input", self.work / "result.csv", state))

    def cores(self, size: str) -> None:
        """One pinned core against two, without saved state."""
        source = self.data(size) / "input"
        samples = {"one core": Samples(), "two cores": Samples()}
        say(f"one core and two, {size}")
        for _ in range(self.rounds):
            for name, workers in (("one core", 1), ("two cores", 2)):
                engine = self.rust(name, "--workers", str(workers), state=False)
                command = engine.command(source, self.fresh("result.csv"), Path())
                samples[name].all.append(run(command, cores=sorted(os.sched_getaffinity(0))[:workers]))
        self.record("cores", samples)

    def processes(self, size: str) -> None:
        """Two processes of one thread against one process of two, with saved state."""
        source = self.data(size) / "input"
        spawn = [str(self.python), "-m", "millpond_cli", "spawn", "-n", "2", "-t", "1"]
        alone = self.rust("one process", "--workers", "2")
        together = self.rust("two processes")
        engines = {"one process": alone.command, "two processes": lambda *paths: [*spawn, *together.command(*paths)]}
        samples = {name: Samples() for name in engines}
        say(f"one process and two, {size}")
        found = {}
        for number in range(self.rounds):
            for name, command in engines.items():
                target = self.fresh("result.csv")
                sample = run(command(source, target, self.fresh("state")))
                samples[name].all.append(sample)
                say(f"  round {number + 1} {name}: {sample.wall_s:.2f} s, {sample.cpu_s:.2f} CPU s")
                if number == 0:
                    found[name] = table_of(target, columns=5)
        assert_equal("two processes", found["two processes"], found["one process"])
        self.record(f"processes_{size}", samples)

    def small_epochs(self) -> None:
        """Latencies of small epochs on top of a large state, as the program measures them itself."""
        state = self.work / "state"
        many = ["--epochs", "1000", "--epoch-rows", "1000", "--state", str(state)]
        one = ["--rows", "5000000", "--users", "1", "--epochs", "1000", "--epoch-rows", "1"]
        found: dict[str, Any] = {}
        for name, flags in (("uniform users", many), ("one user, full", one), ("one user, append-only", one)):
            self.fresh("state")
            form = FORMS["append-only"] if "append-only" in name else []
            say(f"epochs, {name}")
            result = subprocess.run([str(self.epochs), *flags, *form], capture_output=True, text=True, check=False)
            if result.returncode != 0:
                raise Failed(f"bench_epochs: {result.stderr}")
            found[name] = json.loads(result.stdout.splitlines()[-1])
        self.results["epochs"] = found

    def wheel_size(self) -> None:
        wheels = [self.wheel] if self.wheel else sorted((ROOT / "target" / "wheels").glob("*.whl"))
        wheels = wheels or sorted((ROOT / "dist").glob("*.whl"))
        if wheels:
            newest = max(wheels, key=lambda wheel: wheel.stat().st_mtime)
            self.results["wheel_mb"] = newest.stat().st_size / 1e6

    def all(self, sections: list[str], sizes: list[str]) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        if not self.has_rust():
            say(f"{self.sessions} is not built: other engines only")
        largest = sizes[-1]
        if "check" in sections:
            for size in sizes:
                self.check(size)
        if "first" in sections:
            for size in sizes:
                self.first(size)
        if "pathway" in sections and "1m" in sizes:
            self.pathway()
        if "count" in sections:
            self.count(largest)
        if "windows" in sections:
            self.windows(largest)
        if "restart" in sections and self.has_rust():
            self.restart(sizes)
        if "cores" in sections and self.has_rust():
            self.cores(largest)
        if "processes" in sections and self.has_rust() and self.has_python():
            self.processes(largest)
        if "epochs" in sections and self.epochs.exists():
            self.small_epochs()
        if "wheel" in sections:
            self.wheel_size()
        for left in ("state", "result.csv", "reference.csv"):
            self.fresh(left)


class NewRows:
    """The 1,000 new rows, as one more file of the input."""

    def __init__(self, data: Path) -> None:
        self.source, self.target = data / "new.csv", data / "input" / "visits_new.csv"

    def __enter__(self) -> None:
        shutil.copyfile(self.source, self.target)

    def __exit__(self, *_: object) -> None:
        self.target.unlink()


def table_of(path: Path, columns: int | None = None) -> Counter[bytes]:
    """The rows of a result with how often each is there; a change log is added up."""
    rows: Counter[bytes] = Counter()
    with path.open("rb") as file:
        header = file.readline().replace(b'"', b"").rstrip().split(b",")
        is_log = header[-2:] == [b"time", b"diff"]
        width = len(header) - 2 if is_log else len(header)
        cut = columns is not None and width > columns
        for line in file:
            line = line.replace(b'"', b"").rstrip(b"\r\n")
            if is_log:
                line, _, diff = line.rsplit(b",", 2)
            if cut:
                line = b",".join(line.split(b",")[:columns])
            rows[line] += int(diff) if is_log else 1
    return rows


def assert_equal(name: str, found: Counter[bytes], expected: Counter[bytes]) -> None:
    if found == expected:
        return
    missing, extra = expected - found, found - expected
    shown = [f"  missing: {row.decode()}" for row in sorted(missing)[:3]]
    shown += [f"  not expected: {row.decode()}" for row in sorted(extra)[:3]]
    raise Failed(f"{name}: {missing.total()} rows missing, {extra.total()} not expected\n" + "\n".join(shown))


def machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pathway-rounds", type=int, default=1)
    parser.add_argument("--sizes", default="1m,10m", help="of 1m, 10m (default: both)")
    parser.add_argument("--sections", default=",".join(SECTIONS), help=f"of {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--work", type=Path, default=ROOT / "bench-data", help="folder for data, state and results")
    parser.add_argument("--peers-python", type=Path, default=HERE / ".venv" / "bin" / "python")
    parser.add_argument("--millpond-python", type=Path, default=ROOT / ".venv" / "bin" / "python")
    parser.add_argument("--programs", type=Path, default=ROOT / "target" / "release" / "examples")
    parser.add_argument("--wheel", type=Path, help="default: the newest in target/wheels or dist")
    parser.add_argument("--json", type=Path, default=ROOT / "bench-data" / "results.json")
    args = parser.parse_args()
    sections, sizes = args.sections.split(","), args.sizes.split(",")
    for given, known in ((sections, SECTIONS), (sizes, SIZES)):
        for unknown in set(given) - set(known):
            parser.error(f"{unknown}? choose of {', '.join(known)}")
    if not args.peers_python.exists():
        parser.error(f"{args.peers_python} does not exist; run {HERE.name}/setup.sh, or give --peers-python")
    bench = Bench(args)
    try:
        bench.all(sections, sorted(sizes, key=lambda size: SIZES[size]))
    except Failed as failed:
        say(str(failed))
        return 1
    bench.results["figures"] = figures(bench.results)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(bench.results, indent=2) + "\n")
    print_samples(bench.results)
    print_figures(bench.results["figures"])
    return 0


if __name__ == "__main__":
    sys.exit(main())

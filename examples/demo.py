"""Plays examples/sessions.py in four acts, in a directory that is removed at the end."""

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = Path(__file__).with_name("sessions.py")

MORNING = """\
user_id,access_time
carol,1000
dan,1020
carol,1090
dan,1310
"""
NOON = """\
user_id,access_time
carol,2000
carol,2240
dan,2100
"""
EVENING = """\
user_id,access_time
dan,9000
dan,9120
"""
LATE = """\
user_id,access_time
carol,2400
carol,2555
"""


def main() -> None:
    """Plays the four acts."""
    with tempfile.TemporaryDirectory(prefix="millpond-demo-") as directory:
        stage = Stage(Path(directory))
        print("Visits to a website come in as files. Two visits of a user that are at most 300 seconds apart belong to")
        print(f"one session. The program is {PROGRAM.parent.name}/{PROGRAM.name}.")

        stage.act("1. A first run: it reads everything there is")
        stage.add("morning.csv", MORNING)
        stage.add("noon.csv", NOON)
        stage.run("logs", "sessions.csv")

        stage.act("2. The same with saved state: the run also keeps what the next one needs")
        stage.run("logs", "sessions.csv", "state")

        stage.act("3. A new file arrives: the run reads that file alone, and tells of the new session alone")
        stage.add("evening.csv", EVENING)
        stage.run("logs", "sessions.csv", "state")

        stage.act("4. Late visits extend an old session: it is taken back (diff -1) and replaced (diff 1)")
        stage.add("late.csv", LATE)
        stage.run("logs", "sessions.csv", "state")

    print(
        f"""
What to try next:
  - read {PROGRAM.parent.name}/{PROGRAM.name}, and run it on a directory of your own:
      .venv/bin/python {PROGRAM.parent.name}/{PROGRAM.name} LOGS RESULT.csv STATE
  - append lines to a file that was read, and run again: only those lines are read
  - in the program, write the present table instead of the changes: pw.io.csv.write(sessions, result, mode="snapshot")
  - start Python with .venv/bin/python and: import millpond as pw; help(pw.Table)"""
    )


class Stage:
    """The directory in which the demo plays."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "logs").mkdir()

    def act(self, title: str) -> None:
        """Announces an act."""
        print(f"\n\n== {title} ==")

    def add(self, name: str, text: str) -> None:
        """Adds a file to the logs, and shows it."""
        (self.directory / "logs" / name).write_text(text, encoding="utf-8")
        self.show(f"logs/{name}")

    def run(self, *arguments: str) -> None:
        """Runs the program, and shows its result."""
        print("\n$", shlex.join(["python", PROGRAM.name, *arguments]), flush=True)
        command = [sys.executable, str(PROGRAM), *arguments]
        subprocess.run(command, cwd=self.directory, stderr=subprocess.STDOUT, check=True)
        self.show("sessions.csv")

    def show(self, name: str) -> None:
        """Shows a file."""
        print(f"\n$ cat {name}")
        print((self.directory / name).read_text(encoding="utf-8"), end="", flush=True)


if __name__ == "__main__":
    main()

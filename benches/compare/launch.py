"""Starts one process, waits for it and prints what it took, as JSON: `launch.py CORES SAID COMMAND...`.

A process of its own, since the kernel counts the memory of the process that starts another one as the other's peak,
and a large one also takes longer to start another.
"""

import os
import sys
import time

cores, said, command = sys.argv[1], sys.argv[2], sys.argv[3:]
if cores:
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
actions = [
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    (os.POSIX_SPAWN_OPEN, 2, said, os.O_WRONLY | os.O_APPEND, 0),
]
start = time.perf_counter()
process = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
_, status, usage = os.wait4(process, 0)
wall_s = time.perf_counter() - start
code = os.waitstatus_to_exitcode(status)
cpu_s, peak_mb = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
print(f'{{"code": {code}, "wall_s": {wall_s}, "cpu_s": {cpu_s}, "peak_mb": {peak_mb}}}')

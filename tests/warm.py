"""`python train.py` without its imports, which take ten seconds: they are done once, for many runs.

    python tests/warm.py

Each line of the input asks for a run, as JSON (conftest.py, `warm_train`). It gets a process of its
own, forked after the imports, and at most five minutes. When that has ended, its exit status is
printed.
"""

import gc
import json
import os
import runpy
import signal
import sys
from resource import RLIM_INFINITY, RLIMIT_FSIZE, setrlimit

import train

gc.collect()
gc.freeze()  # the end of a run need not free what was imported: it would copy all of it first


def next_run() -> dict:
    """What is asked for, in a new process; the old one comes back at the end of the input."""
    for line in sys.stdin:
        if os.fork() == 0:
            return json.loads(line)
        print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
    sys.exit()


run = next_run()
signal.alarm(300)
os.environ |= run["environment"]
os.chdir(run["folder"])
for stream, name in enumerate(("stdin", "stdout", "stderr")):
    os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), stream)
setrlimit(RLIMIT_FSIZE, (run["file_size"] or RLIM_INFINITY, RLIM_INFINITY))
sys.argv = [train.__file__, *run["arguments"]]
runpy.run_path(train.__file__, run_name="__main__")

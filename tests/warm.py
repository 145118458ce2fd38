"""Python without its imports, which take twenty seconds: they are done once, for many processes.

One process imports them, the fork server of `multiprocessing`; all others are forked from it.
"""

import atexit
import gc
import os
import runpy
import subprocess
import sys
import threading
from multiprocessing import forkserver, get_context
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_FSIZE, setrlimit
from tempfile import NamedTemporaryFile, TemporaryDirectory
from unittest.mock import patch

# What train.py, app.py and programs that load the model import; nothing of this repository.
MODULES = [
    *("accelerate", "datasets", "evaluate", "gradio", "joblib", "matplotlib.backends.backend_agg"),
    *("matplotlib.figure", "scipy.ndimage", "scipy.special", "transformers.pipelines"),
    *("transformers.trainer", "uvicorn"),
]
TESTS = Path(__file__).parent


class WarmProcess(get_context("forkserver").Process):
    """As much of `subprocess.Popen` as is used; the command is Python, a script, its arguments.

    No file of the process can grow beyond `file_size` bytes: what a full disk does, for each.
    """

    def __init__(self, command, *, cwd, env=(), stdout=None, stderr=None, file_size=RLIM_INFINITY):
        super().__init__()
        self.argv, self.cwd, self.env = list(map(str, command[1:])), cwd, dict(env)
        self.printed = [os.devnull if file is None else file.name for file in (stdout, stderr)]
        self.file_size = file_size
        self.start()

    def run(self) -> None:
        """What the new process does."""
        gc.freeze()  # among what has been imported there is no garbage to search for
        os.environ |= self.env
        os.chdir(self.cwd)
        for stream, name in enumerate(self.printed, 1):
            os.dup2(os.open(name, os.O_RDWR | os.O_APPEND), stream)
        setrlimit(RLIMIT_FSIZE, (self.file_size, RLIM_INFINITY))
        sys.argv = self.argv
        others = [folder for folder in sys.path if Path(folder) not in (TESTS, TESTS.parent)]
        sys.path = [str(Path(sys.argv[0]).resolve().parent), *others]
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        finally:
            # As at Python's end: `multiprocessing` would wait for joblib's processes before that
            # tells them to end.
            threading._shutdown()
            atexit._run_exitfuncs()

    def poll(self) -> int | None:
        return self.exitcode

    def wait(self, timeout: float) -> int:
        self.join(timeout)
        if self.exitcode is None:
            self.kill()
            raise subprocess.TimeoutExpired(self.argv, timeout)
        return self.exitcode


class WarmPython:
    """Runs Python scripts."""

    popen = WarmProcess

    def __init__(self, **environment: str):
        """What libraries read of `environment` they read once, when they are imported."""
        forkserver.set_forkserver_preload(MODULES)
        with patch.dict(os.environ, environment):
            forkserver.ensure_running()

    def run(self, *command, cwd=None, file_size=RLIM_INFINITY, **environment):
        """As `subprocess.run`, by default in an empty folder, and for five minutes at most."""
        with (
            TemporaryDirectory() as empty,
            NamedTemporaryFile("r") as stdout,
            NamedTemporaryFile("r") as stderr,
        ):
            options = {"cwd": cwd or empty, "stdout": stdout, "stderr": stderr}
            options |= {"env": environment, "file_size": file_size}
            status = self.popen([sys.executable, *command], **options).wait(300)
            return subprocess.CompletedProcess(command, status, stdout.read(), stderr.read())

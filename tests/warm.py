"""Python without its imports, which take twenty seconds: they are done once, for many processes.

All processes are forked from one that has done them, multiprocessing's fork server.
"""

import gc
import os
import runpy
import subprocess
import sys
from multiprocessing import forkserver, get_context, parent_process, set_start_method
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_FSIZE, setrlimit
from tempfile import NamedTemporaryFile, TemporaryDirectory
from threading import Thread
from types import SimpleNamespace
from unittest.mock import patch

# What train.py, app.py and programs that load the model import; nothing of this repository.
MODULES = (
    "accelerate datasets evaluate gradio joblib matplotlib.backends.backend_agg matplotlib.figure "
    "scipy.ndimage scipy.special transformers.pipelines transformers.trainer uvicorn"
)
TESTS = Path(__file__).parent


class WarmProcess(get_context("forkserver").Process):
    """A process with as much of `subprocess.Popen` as is used.

    The command is this Python, a script and its arguments. No file of the process can grow beyond
    `file_size` bytes: what a full disk does, for each.
    """

    def __init__(self, command, *, cwd, env, stdout, stderr, file_size=RLIM_INFINITY):
        words, printed = list(map(str, command[1:])), [stdout.name, stderr.name]
        super().__init__(target=run_script, args=(words, cwd, dict(env), printed, file_size))
        self.start()

    def poll(self) -> int | None:
        return self.exitcode

    def wait(self, timeout: float) -> int:
        self.join(timeout)
        if self.exitcode is None:  # else the tests would wait for it at their end
            self.kill()
            raise subprocess.TimeoutExpired(self.name, timeout)
        return self.exitcode


def end_with_the_tests() -> None:
    """End this process, even where the tests are killed and cannot say so."""
    parent_process().join()
    os._exit(1)


def run_script(words, cwd, env, printed, file_size) -> None:
    """Run it as if it were this process's own, where nothing of this repository is found."""
    gc.freeze()  # what was imported need not be looked through: that would copy all of it
    set_start_method("fork", force=True)  # of its own processes, as elsewhere
    Thread(target=end_with_the_tests, daemon=True).start()
    paths = [path for path in sys.path if Path(path).resolve() not in (TESTS, TESTS.parent)]
    os.environ |= env
    os.chdir(cwd)
    for stream, name in enumerate(printed, 1):
        os.dup2(os.open(name, os.O_RDWR | os.O_APPEND), stream)
    setrlimit(RLIMIT_FSIZE, (file_size, RLIM_INFINITY))
    sys.argv, sys.path = words, [str(Path(words[0]).resolve().parent), *paths]
    runpy.run_path(words[0], run_name="__main__")


def run(*command, status=0, cwd=None, file_size=RLIM_INFINITY, **environment):
    """As `subprocess.run`, by default in an empty folder, and for five minutes at most.

    It must end with that status and, if it fails, without a traceback.
    """
    with (
        TemporaryDirectory() as empty,
        NamedTemporaryFile("r") as stdout,
        NamedTemporaryFile("r") as stderr,
    ):
        options = {"cwd": cwd or empty, "stdout": stdout, "stderr": stderr}
        options |= {"env": environment, "file_size": file_size}
        code = WarmProcess([sys.executable, *command], **options).wait(300)
        done = subprocess.CompletedProcess(command, code, stdout.read(), stderr.read())
    assert code == status, done.stdout + done.stderr
    assert status == 0 or "Traceback" not in done.stderr
    return done


def warm_python(**environment: str) -> SimpleNamespace:
    """Runs scripts; what libraries read of `environment` they read once, when they are imported."""
    forkserver.set_forkserver_preload(MODULES.split())
    with patch.dict(os.environ, environment):
        forkserver.ensure_running()
    return SimpleNamespace(run=run, popen=WarmProcess)

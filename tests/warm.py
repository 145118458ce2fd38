"""Python without its imports, which take twenty seconds: they are done once, for many processes.

Run as a script, this is the process from which all others are forked.
"""

import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_FSIZE, setrlimit
from tempfile import NamedTemporaryFile, TemporaryDirectory

# What train.py, app.py and programs that load the model import; nothing of this repository.
MODULES = (
    *("accelerate", "datasets", "evaluate", "gradio", "joblib", "matplotlib.backends.backend_agg"),
    *("matplotlib.figure", "scipy.ndimage", "scipy.special", "transformers.pipelines"),
    *("transformers.trainer", "uvicorn"),
)


@dataclass
class WarmPython:
    """Runs Python scripts."""

    server: subprocess.Popen

    def ask(self, asked: dict | int) -> int | None:
        print(json.dumps(asked), file=self.server.stdin, flush=True)
        return json.loads(self.server.stdout.readline())

    def popen(self, command, *, cwd, env=(), stdout=None, stderr=None, file_size=RLIM_INFINITY):
        """As `subprocess.Popen`; the command is this Python, a script and its arguments.

        No file of the process can grow beyond `file_size` bytes: what a full disk does, for each.
        """
        printed = [os.devnull if file is None else file.name for file in (stdout, stderr)]
        asked = {"printed": printed, "file_size": file_size, "cwd": str(cwd), "env": dict(env)}
        return WarmProcess(self, self.ask(asked | {"command": list(map(str, command[1:]))}))

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


@dataclass
class WarmProcess:
    """As much of `subprocess.Popen` as is used."""

    python: WarmPython
    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.python.ask(self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                self.kill()
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.01)
        return self.returncode

    def terminate(self) -> None:
        if self.returncode is None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


@contextmanager
def warm_python(**environment: str) -> Iterator[WarmPython]:
    """What libraries read of `environment` they read once, when they are imported."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command, env = [sys.executable, "-P", __file__], os.environ | environment
    with subprocess.Popen(command, env=env, start_new_session=True, **pipes) as server:
        yield WarmPython(server)  # then it ends, and all that it has started


def next_command() -> dict:
    """What is asked for, in a new process; in the old one this never returns."""
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, int):  # the status of a process that has ended
            pid, status = os.waitpid(asked, os.WNOHANG)
            print(json.dumps(os.waitstatus_to_exitcode(status) if pid else None), flush=True)
        elif pid := os.fork():
            print(pid, flush=True)
        else:
            return asked
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    for name in MODULES:
        import_module(name)
    gc.collect()
    gc.freeze()  # the end of a process need not free what was imported: it would copy all of it
    asked = next_command()
    os.environ |= asked["env"]
    os.chdir(asked["cwd"])
    for stream, name in enumerate([os.devnull, *asked["printed"]]):
        os.dup2(os.open(name, os.O_RDWR | os.O_APPEND), stream)
    setrlimit(RLIMIT_FSIZE, (asked["file_size"], RLIM_INFINITY))
    sys.argv = asked["command"]
    sys.path.insert(0, str(Path(sys.argv[0]).resolve().parent))
    runpy.run_path(sys.argv[0], run_name="__main__")

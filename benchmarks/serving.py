"""What measurements and tests share: the app in a process of its own, and what a visitor writes."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent
# A 5, as corners on a canvas of 1 x 1: one list per stroke.
FIVE = [
    [
        (0.36, 0.21),
        (0.34, 0.46),
        (0.54, 0.43),
        (0.68, 0.54),
        (0.66, 0.73),
        (0.5, 0.83),
        (0.3, 0.77),
    ],
    [(0.36, 0.21), (0.68, 0.2)],
]


@contextmanager
def serve_app(
    log: Path = Path(os.devnull),
    folder: Path = ROOT,
    python: str = sys.executable,
    **environment: str,
) -> Iterator[tuple[str, int]]:
    """Start `python app.py` on a free port; its address and process id, once it answers.

    Args:
        log: Where its output goes.
        folder: Where app.py lies.
        python: Runs it.
        environment: Variables, beside those of this process.

    Raises:
        RuntimeError: it ended, or did not start within a minute.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    own = {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    with log.open("w") as output:
        app = subprocess.Popen(
            [python, "app.py"],
            cwd=folder,
            env=os.environ | own | environment,
            stdout=output,
            stderr=output,
        )
    try:
        for _ in range(3000):
            with suppress(OSError), urllib.request.urlopen(url):
                break
            if app.poll() is not None:
                raise RuntimeError("The app ended: " + log.read_text())
            time.sleep(0.02)
        else:
            raise RuntimeError("The app did not start within a minute: " + log.read_text())
        yield url, app.pid
    finally:
        app.terminate()
        app.wait(30)


def memory(pid: int) -> float:
    """Resident memory of a process in MB (Linux)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_time(pid: int) -> float:
    """Seconds that a process has computed, in user and system mode (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

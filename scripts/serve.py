"""The app in a process of its own, as tests, benchmarks and scripts need it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent


@contextmanager
def serve_app(
    log: Path = Path(os.devnull),
    folder: Path = ROOT,
    popen: Callable[..., subprocess.Popen] = subprocess.Popen,
    **environment: str,
) -> Iterator[tuple[str, int]]:
    """Run `python app.py` on a free port, until the block ends.

    Takes where its output goes, where app.py lies, what starts it, and variables beside those of
    this process. Gives its address and its process id, once it answers; a `RuntimeError` if it
    ends, or does not answer within a minute.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    options = {"cwd": folder, "env": os.environ | {"GRADIO_SERVER_PORT": str(port)} | environment}
    with log.open("w") as output:
        app = popen([sys.executable, "app.py"], stdout=output, stderr=output, **options)
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

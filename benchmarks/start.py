"""How long the app takes from its start to its first answer, beside importing what it stands on.

    python -m benchmarks.start

The reference is a Python process that imports torch, gradio and transformers' model base, and ends.
They take turns, after one turn each that is not counted.
"""

import argparse
import subprocess
import sys
import time

import httpx
import numpy as np

from benchmarks.serving import ROOT, serve_app

IMPORTS = "import torch, gradio; from transformers import PreTrainedModel"


def start_app() -> float:
    """Seconds from `python app.py` to the first answer of /predict."""
    start = time.perf_counter()
    with serve_app() as (url, _), httpx.Client(base_url=f"{url}/gradio_api", timeout=60) as client:
        with (ROOT / "examples" / "2-thin.png").open("rb") as file:
            path = client.post("/upload", files={"files": file}).json()[0]
        picture = {"path": path, "meta": {"_type": "gradio.FileData"}}
        event = client.post("/call/predict", json={"data": [picture]}).json()["event_id"]
        answer = client.get(f"/call/predict/{event}").text
        seconds = time.perf_counter() - start
    if "event: complete" not in answer:
        raise RuntimeError(f"No answer, but: {answer}")
    return seconds


def import_alone() -> float:
    """Seconds of a process that only imports."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, cwd=ROOT)
    return time.perf_counter() - start


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=7, help="how often each is timed")
    turns = parser.parse_args().turns
    pairs = [(start_app(), import_alone()) for _ in range(turns + 1)][1:]
    app, alone = np.median(pairs, axis=0)
    print("| median of seconds | |\n|---|---|")
    print(f"| start to first answer | {app:.2f} |\n| imports alone | {alone:.2f} |")
    print(f"\nratio: {app / alone:.2f}")


if __name__ == "__main__":
    main()

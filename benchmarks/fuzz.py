"""What the app does with hostile uploads and calls.

    python -m benchmarks.fuzz
    python -m benchmarks.fuzz --count 2000 --seed 0

Corrupted image files, decompression bombs, other files under an image's name, JSON of the wrong
type, size and depth, paths and addresses of files on the server. Each must be answered by a digit,
a sentence or a refused HTTP request; none may make the app die, fail with an internal error, keep
memory, or give away a file. The same seed gives the same cases.
"""

import argparse
import base64
import io
import json
import random
import struct
import sys
import zlib
from collections import Counter

import httpx
import numpy as np
from PIL import Image

from scripts.serve import ROOT, memory, serve_app
from scripts.strokes import FIVE, growing, sent_by_sheet

SERVER_FILES = ["/etc/passwd", "app.py", str(ROOT / "examples" / "1-a-4-from-MNIST.png")]
TIMEOUT = 60  # seconds
REFUSALS = (  # Gradio's, of inputs that are not of the shape that it has documented
    "validation error for ImageData",
    "to the gradio cache dir because it was not uploaded",
    "didn't receive enough input values",
)


def encode(image: Image.Image, kind: str) -> bytes:
    """An image as a file's content."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that claims many white pixels, and holds up to 20,000 x 20,000."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    packer = zlib.compressobj(9)
    row = b"\0" + b"\xff" * (min(width, 20_000) // 8)
    rows = b"".join(packer.compress(row) for _ in range(min(height, 20_000))) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


DRAWING = sent_by_sheet(growing(FIVE, 1)[0])
IMAGE = Image.open(io.BytesIO(DRAWING)).convert("RGB")
WHOLE = [encode(IMAGE, kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")]
BOMBS = [png_bomb(20_000, 20_000), png_bomb(8_000, 7_999), png_bomb(2**31 - 1, 2**31 - 1)]
NO_IMAGES = [
    b"",
    b"\0" * 100_000,
    b"This is no image.",
    b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
    b"PK\3\4" + b"\0" * 100,
]
PNG = "data:image/png;base64,"
NO_SHEETS = [
    None, 7, True, [], {}, "x", PNG, [PNG], {"image": None, "resting": True}, {"image": 7},
    *({"image": image, "resting": True} for image in (
        PNG, PNG + "AAAA", PNG + "A" * 1_000_000, "data:text/html;base64,PGI+", "/etc/passwd",
        "file:///etc/passwd", {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
        "\0" * 1000, [[[[[[]]]]]], "9" * 20_000_000,
        *(PNG + base64.b64encode(bomb).decode() for bomb in BOMBS))),
    {"image": PNG + base64.b64encode(DRAWING).decode()},
    {"image": PNG + base64.b64encode(DRAWING).decode(), "resting": [[7]]},
]  # fmt: skip
NOT_UPLOADED = [
    *({"path": path} for path in SERVER_FILES),
    *({"path": path, "meta": {"_type": "gradio.FileData"}} for path in [*SERVER_FILES, "..", ""]),
    *({"path": "x", "url": url, "meta": {"_type": "gradio.FileData"}} for url in (
        "file:///etc/passwd", "http://127.0.0.1:1/", "http://169.254.169.254/", "ftp://x/y")),
    {"url": "data:image/png;base64,AAAA"}, {}, [], 7, "x", *SERVER_FILES, "9" * 20_000_000,
]  # fmt: skip
NO_JSON = [b"", b"{", b"[" * 100_000, b'{"data":' * 50_000, b"\xff\xfe", b"9" * 20_000_000,
           b'{"data": null}', b'{"data": []}', b'{"data": [1, 2, 3, 4]}', b"null"]  # fmt: skip


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Corrupt a file: change, cut, repeat, insert or swap bytes, or claim another size."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 3, 30])):
        start, length = rng.randrange(len(data)), rng.choice([1, 4, 64])
        match rng.randrange(6):
            case 0:
                data[start : start + length] = rng.randbytes(length)
            case 1:
                data[start] ^= 1 << rng.randrange(8)
            case 2:
                del data[rng.randrange(8, len(data)) if len(data) > 9 else len(data) :]
            case 3:
                data[start:start] = data[start : start + length] * rng.choice([2, 100])
            case 4:
                head = rng.randrange(min(64, len(data)))
                data[head : head + 4] = b"\xff\xff\xff\x7f"
            case 5:
                data[start:start] = rng.choice(WHOLE)[: rng.randrange(1, 200)]
        if not data:
            break
    return bytes(data)


class Attacker:
    """Speaks to the app as a program does, and notes how each attempt was answered."""

    def __init__(self, url: str):
        self.http = httpx.Client(base_url=url, timeout=TIMEOUT)
        config = self.http.get("/config").json()["components"]
        self.sheet = next(c["id"] for c in config if c["props"].get("elem_id") == "sheet")

    def upload(self, content: bytes, name: str) -> str:
        """Send a file and ask `/predict` for its digit."""
        answer = self.http.post("/gradio_api/upload", files={"files": (name, content)})
        if answer.is_error:
            return outcome(answer.status_code)
        return self.predict({"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}})

    def predict(self, image: object) -> str:
        """Call `/predict` with any JSON."""
        return self.call(json.dumps({"data": [image]}).encode())

    def call(self, body: bytes) -> str:
        """Call `/predict` with any bytes."""
        headers = {"Content-Type": "application/json"}
        answer = self.http.post("/gradio_api/call/predict", content=body, headers=headers)
        if answer.is_error:
            return outcome(answer.status_code)
        stream = self.http.get(f"/gradio_api/call/predict/{answer.json()['event_id']}").text
        if leaks(stream):
            return "a file was given away"
        if "event: complete" in stream:
            return "a digit"
        return told(json.loads(stream.rpartition("data: ")[2]))

    def write(self, sheet: object, function: str = "read_sheet") -> str:
        """Send any JSON as what is on the sheet."""
        session = f"{random.getrandbits(64):x}"
        call = {"component_id": self.sheet, "fn_name": function, "session_hash": session}
        answer = self.http.post("/gradio_api/component_server/", json={"data": sheet} | call)
        if answer.is_error:
            return outcome(answer.status_code)
        if leaks(answer.text):
            return "a file was given away"
        return "a sentence" if answer.json()["kind"] == "error" else "a digit"

    def attempt(self, rng: random.Random) -> str:
        """One hostile upload or call, chosen at random."""
        name = rng.choice(
            ["a.png", "a.jpg", "../../a.gif", "a.svg", "a\0.tiff", "ä" * 200 + ".bmp"]
        )
        match rng.choices(range(7), [60, 6, 3, 20, 5, 2, 4])[0]:
            case 0:
                return self.upload(mutate(rng.choice(WHOLE), rng), name)
            case 1:
                return self.upload(rng.choice(NO_IMAGES), name)
            case 2:
                return self.upload(rng.choice(BOMBS), name)
            case 3:
                return self.write(rng.choice(NO_SHEETS))
            case 4:
                answer = self.predict(rng.choice(NOT_UPLOADED))
                return "a file was given away" if answer == "a digit" else answer
            case 5:
                return self.call(rng.choice(NO_JSON))
            case 6:
                return self.write(SERVER_FILES[0], rng.choice(["postprocess", "__init__", "", "x"]))


def outcome(status: int) -> str:
    """A refused HTTP request, in words."""
    return "an HTTP refusal, 4xx" if status < 500 else f"an internal error, {status}"


def told(output: dict) -> str:
    """Whether an error is a sentence of the app's, Gradio's refusal, or whatever else."""
    if "title" in output:  # only gr.Error has one; of any other exception Gradio sends the text
        return "a sentence"
    text = str(output.get("error"))
    refused = any(refusal in text for refusal in REFUSALS)
    return "Gradio's refusal of an input" if refused else f"an error: {text[:200]}"


def leaks(text: str) -> bool:
    """Whether an answer holds the content of the server's own files."""
    return "root:x:" in text or "import gradio" in text


def main() -> None:
    """Start the app, attack it, print the table; exit 1 if something is not as it must be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, outcomes, samples = random.Random(arguments.seed), Counter(), []
    with serve_app() as (url, pid):
        attacker = Attacker(url)
        attacker.upload(WHOLE[0], "5.png")
        samples.append(memory(pid))
        for _ in range(arguments.count):
            try:
                outcomes[attacker.attempt(rng)] += 1
            except httpx.HTTPError as error:
                outcomes[f"no answer: {error!r}"] += 1
            samples.append(memory(pid))
        alive = attacker.upload(WHOLE[0], "5.png") == "a digit"
    print(f"| {arguments.count:,} hostile uploads and calls were answered by | |\n|---|---|")
    for name, count in outcomes.most_common():
        print(f"| {name} | {count:,} |")
    print(f"| the app reads a 5 after them | {'yes' if alive else 'no'} |")
    middle = np.median(samples[len(samples) // 2 :])
    print(f"| memory at the start, at most, second half's median | {samples[0]:.0f}, "
          f"{max(samples):.0f}, {middle:.0f} MB |")  # fmt: skip
    good = {"a digit", "a sentence", "Gradio's refusal of an input", "an HTTP refusal, 4xx"}
    sys.exit(0 if alive and outcomes.keys() <= good else 1)


if __name__ == "__main__":
    main()

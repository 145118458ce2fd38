"""What the app does with hostile uploads and calls.

Corrupted image files, decompression bombs, other files under an image's name, JSON of the wrong
type, size and depth, paths and addresses of files on the server. Each must be answered by a digit,
a sentence or a refused HTTP request; none may make the app die, fail with an internal error, keep
memory, or give away a file. The same seed gives the same cases.
"""

import json
import random
import struct
import sys
import zlib
from collections import Counter
from io import BytesIO

import httpx
import numpy as np
from PIL import Image

from benchmarks.common import data_url, parse, print_row, sheet_call
from scripts.serve import ROOT, memory, serve_app
from scripts.strokes import FIVE, encode, growing, sent_by_sheet

DIGIT, SENTENCE, REFUSAL = "a digit", "a sentence", "an HTTP refusal, 4xx"
GRADIO, LEAK = "Gradio's refusal of an input", "a file was given away"
REFUSALS = (  # Gradio's, of inputs that are not of the shape that it has documented
    *("validation error for ImageData", "didn't receive enough input values"),
    "to the gradio cache dir because it was not uploaded",
)


def png_bomb(width: int, height: int) -> bytes:
    """A small PNG that claims so many white pixels, and holds up to 20,000 x 20,000."""
    held = Image.new("1", (min(width, 20_000), min(height, 20_000)), 1)
    png = bytearray(encode(held, "PNG"))
    png[16:24] = struct.pack(">II", width, height)
    png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))
    return bytes(png)


def uploaded(path: str, **more: str) -> dict:
    """What Gradio takes for an uploaded file."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}} | more


DRAWING = sent_by_sheet(growing(FIVE, 1)[0])
IMAGE = Image.open(BytesIO(DRAWING)).convert("RGB")
WHOLE = [encode(IMAGE, kind) for kind in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")]
BOMBS = [png_bomb(20_000, 20_000), png_bomb(8_000, 7_999), png_bomb(2**31 - 1, 2**31 - 1)]
NAMES = ["a.png", "a.jpg", "../../a.gif", "a.svg", "a\0.tiff", "ä" * 200 + ".bmp"]
FUNCTIONS = ["read_sheet"] * 20 + ["postprocess", "__init__", "", "x"]
PATHS = ["/etc/passwd", "app.py", str(ROOT / "examples" / "1-a-4-from-MNIST.png"), "..", ""]
ADDRESSES = ["file:///etc/passwd", "http://127.0.0.1:1/", "http://169.254.169.254/", "ftp://x/y"]
LONG = "9" * 20_000_000
NO_IMAGES = [
    *(b"", b"\0" * 100_000, b"This is no image.", b"PK\3\4" + b"\0" * 100),
    b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>",
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
]
PNG = data_url(b"")
VALUES = [*PATHS, *ADDRESSES, PNG, [PNG], PNG + "AAAA", PNG + "A" * 1_000_000, "\0" * 1000, LONG,
          "data:text/html;base64,PGI+", [[[[[[]]]]]], None, 7, True, [], {}, "x"]  # fmt: skip
SHEETS = [*VALUES, uploaded("/etc/passwd"), *map(data_url, [*BOMBS, DRAWING])]
WRONG = [
    *VALUES, *({"image": value, "resting": [[7]]} for value in SHEETS), {"image": 7},
    *({"path": path} for path in PATHS), *map(uploaded, PATHS),
    *(uploaded("x", url=url) for url in ADDRESSES), {"url": PNG + "AAAA"},
]  # fmt: skip
NO_JSON = [b"", b"{", b"[" * 100_000, b'{"data":' * 50_000, b"\xff\xfe", LONG.encode(),
           b'{"data": null}', b'{"data": []}', b'{"data": [1, 2, 3, 4]}', b"null"]  # fmt: skip


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Corrupt a file: change, cut, repeat or insert bytes, or claim another size."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 3, 30])):
        start = rng.randrange(min(rng.choice([64, 10**9]), len(data) + 1))
        stop = rng.choices([start, start + rng.choice([1, 4, 64]), len(data)], [4, 8, 1])[0]
        part, other = data[start:stop], rng.choice(WHOLE)[: rng.randrange(1, 200)]
        kinds = [rng.randbytes(len(part)), part[:64] * 100, b"\xff\xff\xff\x7f", other, b""]
        data[start:stop] = rng.choice(kinds)
    return bytes(data)


class Attacker:
    """Speaks to the app as a program does, and tells how each attempt was answered."""

    def __init__(self, url: str):
        self.http, self.sheet = httpx.Client(base_url=url, timeout=60), sheet_call(url)

    def post(self, path: str, **request) -> dict | list | str:
        """The JSON of an answer, or in words why there is none."""
        answer = self.http.post(f"/gradio_api/{path}", **request)
        if answer.is_error:
            status = answer.status_code
            return REFUSAL if status < 500 else f"an internal error, {status}"
        return LEAK if leaks(answer.text) else answer.json()

    def upload(self, content: bytes, name: str) -> str:
        """Send a file and ask `/predict` for its digit."""
        paths = self.post("upload", files={"files": (name, content)})
        return paths if isinstance(paths, str) else self.call([uploaded(paths[0])])

    def call(self, data: object) -> str:
        """Call `/predict` with any JSON, or with any bytes."""
        content = data if isinstance(data, bytes) else json.dumps({"data": data}).encode()
        headers = {"Content-Type": "application/json"}
        event = self.post("call/predict", content=content, headers=headers)
        if isinstance(event, str):
            return event
        stream = self.http.get(f"/gradio_api/call/predict/{event['event_id']}").text
        if leaks(stream):
            return LEAK
        if "event: complete" in stream:
            return DIGIT
        output = json.loads(stream.rpartition("data: ")[2])
        if "title" in output:  # only gr.Error has one; of any other exception Gradio sends the text
            return SENTENCE
        text = str(output.get("error"))
        return GRADIO if any(r in text for r in REFUSALS) else f"an error: {text[:200]}"

    def write(self, drawing: object, function: str) -> str:
        """Send any JSON as what is on the sheet."""
        call = self.sheet | {"session_hash": f"{random.getrandbits(64):x}", "fn_name": function}
        answer = self.post("component_server/", json=call | {"data": drawing})
        if isinstance(answer, str):
            return answer
        return SENTENCE if answer["kind"] == "error" else DIGIT

    def attempt(self, rng: random.Random) -> str:
        """One hostile upload or call, chosen at random."""
        name = rng.choice(NAMES)
        kinds = {  # by how often they are chosen, in percent
            60: lambda: self.upload(mutate(rng.choice(WHOLE), rng), name),
            6: lambda: self.upload(rng.choice(NO_IMAGES), name),
            3: lambda: self.upload(rng.choice(BOMBS), name),
            24: lambda: self.write(rng.choice(WRONG), rng.choice(FUNCTIONS)),
            5: lambda: self.call([rng.choice(WRONG)]).replace(DIGIT, LEAK),
            2: lambda: self.call(rng.choice(NO_JSON)),
        }
        return rng.choices([*kinds.values()], [*kinds])[0]()


def leaks(text: str) -> bool:
    """Whether an answer holds the content of the server's own files."""
    return "root:x:" in text or "import gradio" in text


def main() -> None:
    options = parse(__doc__, count=(2000, "uploads and calls"), seed=(0, "of the cases"))
    rng, outcomes, samples = random.Random(options.seed), Counter(), []
    with serve_app() as (url, pid):
        attacker = Attacker(url)
        attacker.upload(WHOLE[0], "5.png")
        samples.append(memory(pid))
        for _ in range(options.count):
            try:
                outcomes[attacker.attempt(rng)] += 1
            except httpx.HTTPError as error:
                outcomes[f"no answer: {error!r}"] += 1
            samples.append(memory(pid))
        alive = attacker.upload(WHOLE[0], "5.png") == DIGIT
    print(f"| {options.count:,} hostile uploads and calls were answered by | |\n|---|---|")
    for name, count in outcomes.most_common():
        print_row(name, f"{count:,}")
    print_row("the app reads a 5 after them", "yes" if alive else "no")
    middle = np.median(samples[len(samples) // 2 :])
    figures = f"{samples[0]:.0f}, {max(samples):.0f}, {middle:.0f} MB"
    print_row("memory at the start, at most, second half's median", figures)
    sys.exit(0 if alive and outcomes.keys() <= {DIGIT, SENTENCE, GRADIO, REFUSAL} else 1)


if __name__ == "__main__":
    main()

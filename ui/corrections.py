"""Keeps what visitors say that an image is, as CORRECTIONS_DIR/<label>/<hash of its pixels>.png.

The folder is an `imagefolder` of `datasets`. Whoever can reach the app can send anything here: all
of it is checked, and bounded.
"""

import asyncio
import base64
import logging
import os
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from transformers import PreTrainedModel

from ui.saliency import MAX_LEVELS, probabilities

LABELS = (*"0123456789", "none")
PER_SESSION, PER_HOUR = 20, 200  # corrections, even if the disk does not take them
RECENT = 10_000  # corrections, the last of all visitors, that can be changed
PER_LABEL = 9000  # images: the Hub takes 10,000 files in a folder


class CorrectionStore:
    """Called by corrections.js, through the server, with one correction.

    The images tell what `model` answered, and its name, `model_id`. `OSError` if the folder takes
    no files.
    """

    def __init__(self, folder: str | Path, model: PreTrainedModel, model_id: str):
        self.folder, self.model, self.model_id = Path(folder), model, model_id
        self.sessions: deque[str] = deque(maxlen=RECENT)  # of the last corrections
        self.own: dict[
            tuple[str, bytes], Path
        ] = {}  # the file that holds a session's label of an image
        self.times: deque[float] = deque(maxlen=PER_HOUR)
        # Hidden files are not loaded. One for each process: no other writes to it, and a process
        # that is killed leaves no more than one behind.
        self.aside = self.folder / f".{token_hex(8)}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.aside.touch()
        self.aside.unlink()
        self.writer = ThreadPoolExecutor(1)  # its own: a disk that hangs holds up no answer

    async def __call__(self, sent: object) -> str:
        """Keep {"label", "seen": 28x28 levels 0-255 in base64, "session": any short text}.

        It replaces what this session has said of the same image before.

        Returns "", or a sentence for the visitor that says why it is not kept.
        """
        try:
            label, session = sent["label"], sent["session"]
            pixels = base64.b64decode(sent["seen"][:MAX_LEVELS], validate=True)
            valid = label in LABELS and isinstance(session, str) and len(session) <= 40
            if not valid or len(pixels) != 784 or not any(pixels):
                raise ValueError
        except (TypeError, KeyError, ValueError):
            return "It did not arrive whole. Please click once more."
        if self.sessions.count(session) >= PER_SESSION:
            return f"A visit can send {PER_SESSION} corrections. Thank you for these."
        if len(self.times) == PER_HOUR and time.monotonic() - self.times[0] < 3600:
            return "Too many corrections came within an hour. Please come back later."
        self.sessions.append(session)
        self.times.append(time.monotonic())
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.writer, self._keep, label, pixels, session)

    def _keep(self, label: str, pixels: bytes, session: str) -> str:
        file = self.folder / label / f"{sha256(pixels).hexdigest()[:16]}.png"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if is_new := not file.exists():
                if len(os.listdir(file.parent)) >= PER_LABEL:
                    return f"There are {PER_LABEL:,} images of this label already. Thank you."
                self._save(pixels, file)
            # What this session has said before of the same image goes, unless another says it, too.
            before = self.own.pop((session, pixels), None)
            if before not in (None, file, *self.own.values()):
                before.unlink(missing_ok=True)
            # A file that was there when the app started belongs to no session.
            if is_new or before == file or file in self.own.values():
                self.own[session, pixels] = file
            if len(self.own) > RECENT:
                self.own.pop(next(iter(self.own)))
        except OSError as error:
            logging.warning("A correction could not be saved in CORRECTIONS_DIR: %s", error)
            return "The server cannot save it. Please tell whoever runs this app."
        return ""

    def _save(self, pixels: bytes, file: Path) -> None:
        levels = np.frombuffer(pixels, np.uint8).reshape(28, 28)
        pixel_values = torch.from_numpy(levels / np.float32(255))[None, None]
        (answer,) = probabilities(self.model, pixel_values)
        text = PngInfo()
        text.add_text("answer", self.model.config.id2label[int(answer.argmax())])
        text.add_text("confidence", f"{answer.max():.4f}")
        text.add_text("model", self.model_id)
        text.add_text("day", datetime.now(UTC).date().isoformat())
        Image.fromarray(levels).save(self.aside, "PNG", pnginfo=text)
        self.aside.replace(file)

"""What the user is told when something cannot work."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


class InputError(ValueError):
    """What the user gave cannot be used. The message says why and what to do."""


@contextmanager
def writing_to(folder: str | Path) -> Iterator[None]:
    """Raise `InputError` where the disk is full or read-only, around what only writes files."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:  # Python's, safetensors', torch's
        raise InputError(
            f"Files could not be written to {folder}: {error}\nMake room there. Checkpoints that "
            f"were complete still are: --resume_from_checkpoint last goes on from the newest."
        ) from error

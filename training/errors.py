"""What the user is told when something cannot work."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from safetensors import SafetensorError


class InputError(ValueError):
    """What the user gave cannot be used. The message says why and what to do."""


@contextmanager
def told_by(program: str) -> Iterator[None]:
    """End the program with what the user is told, in place of a traceback."""
    try:
        yield
    except (InputError, OSError, SafetensorError) as error:  # what could not be read or written
        sys.exit(f"{program}: {error}")


def flag_names() -> list[str]:
    """The fields of `MnistTrainingArguments`, its own first.

    From the source of the two classes that declare them: to import those takes seconds.
    """
    inherited = Path(find_spec("transformers").origin).with_name("training_args.py")
    sources = (Path(__file__).with_name("arguments.py"), inherited)
    declared = (re.findall(r"^    (\w+): ", file.read_text("utf-8"), re.M) for file in sources)
    return list(dict.fromkeys(name for names in declared for name in names))


def check_flags(words: Sequence[str]) -> None:
    """Raise `InputError` for a flag on train.py's command line that it does not have."""
    names = flag_names()
    known = [*names, *(f"no_{name}" for name in names), "help"]
    for word in words:
        name = word[2:].partition("=")[0].replace("-", "_")
        if word.startswith("--") and name not in known:
            near = [other for other in names if name in other] or get_close_matches(name, known)
            hint = f"did you mean --{near[0]}?" if near else "--help lists all."
            raise InputError(f"--{name}: unknown flag; {hint}")

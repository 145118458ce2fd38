"""The tab about the model, made from the files that lie beside its weights."""

import json
import os
from pathlib import Path

import gradio as gr
from transformers.utils import cached_file

INTRODUCTION = """\
## What it is
Two small networks that read handwritten digits. One sees a whole line, and finds which digits
stand where; the other sees each digit alone. What both agree on is the answer. A third finds the
ink in photographs. Links: {links}.

"""
LEARNED = """\
They learned from {train_images:,} digits of
[MNIST](https://huggingface.co/datasets/ylecun/mnist), which Americans wrote about 1990, and from
{synthetic_images:,} images and {lines:,} lines that the code composes: other ways of writing,
damaged digits, letters and scribbles that are no digits. The third learned from simulated
photographs.
"""
EVALUATED = """\
## How good it is
- **{eval_accuracy:.2%}** of {eval_samples:,} digits that it had never seen are right: {errors:,}
  are wrong.
- Its confidence is off by **{eval_calibration_error:.2%}** on average: of a hundred answers with
  90%, about ninety are right.
"""
NUMBERS = (
    "- **{}** of numbers with gaps between their digits are wholly right; where they touch, {}.\n"
)
WRONG = """\
## What it gets wrong
Digits that touch, many ways of writing that it has not met, and some letters, which it takes for
digits. It reads no signs and no decimal points, and often takes a slash for a 1.
"""
WORDS = """\
- **MNIST-C**: MNIST's digits corrupted in fifteen ways (Mu & Gilmer 2019), made anew here.
- **pen 6-20**: the width of the pen in pixels on a sheet 280 pixels high.
- **ECE**, expected calibration error: the mean distance between confidence and share of right
  answers.
- **AUROC**: how often a digit gets a higher confidence than a non-digit; 100% is perfect, 50% is
  chance.
- **wholly right**: each digit of a number is right, and there is none too many or too few.
- **3 seeds**: mean ± standard deviation over three trainings; where there is no accuracy, of the
  share with a confidence of 0.5 or more.
"""
LOADING = """\
## Use it in a program

```python
from transformers import pipeline

read = pipeline("number-recognition", model="{name}", trust_remote_code=True)
read("photo.jpg")["number"]  # "407"
```

The saliency map on the first page is gradient times input: to first order, how much each pixel adds
to the log odds of the answer ([Shrikumar et al. 2016](https://arxiv.org/abs/1605.01713)).
"""


def links(name_or_path: str) -> str:
    """HTML: where the model, the data and the code are, as far as that is known."""
    space = os.environ.get("SPACE_ID")  # set where a Space runs
    addresses = {
        "model": None if Path(name_or_path).is_dir() else name_or_path,
        "data": "datasets/ylecun/mnist",
        "code": space and f"spaces/{space}/tree/main",
    }
    return " · ".join(
        f'<a href="https://huggingface.co/{address}" target="_blank">{name}</a>'
        for name, address in addresses.items()
        if address
    )


def show_about(name_or_path: str) -> None:
    """Add to the page what a model, on the Hub or in a folder, has of results, plots and tables."""

    def find(file: str) -> Path | None:
        try:
            return Path(cached_file(name_or_path, file))
        except OSError:
            return None

    def load(file: str) -> str:
        return path.read_text("utf-8") if (path := find(file)) else ""

    def show(file: str, title: str) -> None:
        if path := find(file):
            gr.Markdown(f"### {title}")
            bare = {"show_label": False, "container": False, "buttons": []}
            gr.Image(path, label=title, elem_classes="plot", **bare)

    run, results = (json.loads(load(file) or "{}") for file in ("run.json", "eval_results.json"))
    table, numbers = load("benchmark.md"), load("numbers.md")
    right = {row[0]: row[2] for row in (line[2:].split(" | ") for line in numbers.splitlines()[2:])}
    text = INTRODUCTION.format(links=links(name_or_path))
    if run.get("lines"):
        text += LEARNED.format(**run)
    if "eval_calibration_error" in results:
        errors = round((1 - results["eval_accuracy"]) * results["eval_samples"])
        text += EVALUATED.format(**results, errors=errors)
    if right:
        text += NUMBERS.format(right["drawing, apart"], right["drawing, touching"])
    gr.Markdown(text + WRONG)
    show("worst_errors.png", "The errors of which it is most confident")
    name = "YOUR_NAME/mnist-cnn" if Path(name_or_path).is_dir() else name_or_path
    gr.Markdown(LOADING.format(name=name))
    with gr.Accordion("Details", open=False):
        if table:
            gr.Markdown(f"{WORDS}\n{table}\n\n{numbers}", elem_classes="table")
        with gr.Row(elem_classes="plots"):
            for file, title in (
                ("learning_curves.png", "Learning curves"),
                ("calibration.png", "Calibration: accuracy against confidence"),
                ("confusion_matrix.png", "Confusion matrix"),
            ):
                with gr.Column():
                    show(file, title)

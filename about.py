"""The tab that tells what the model is, from the files that lie with it."""

import json
from pathlib import Path

import gradio as gr
from transformers.utils import cached_file

RESULTS = {
    "eval_accuracy": "It reads **{:.2%}** of the test images right.",
    "eval_samples": "There are {:,} of them.",
    "eval_calibration_error": "Its sureness and its accuracy differ by {:.2%} on average.",
}
PLOTS = {
    "learning_curves.png": "Learning curves",
    "worst_errors.png": "Its errors, the surest first",
    "confusion_matrix.png": "Which digit it takes for which",
    "calibration.png": "How often it is right, against how sure it was",
}
LOADING = """\
### Load it elsewhere

```python
from transformers import pipeline

classify = pipeline("image-classification", model="{name}", trust_remote_code=True)
classify("digit.png")  # [{{"label": "7", "score": 0.99...}}, ...]
```

The heat map on the first page is gradient times input: to first order, how much each pixel's ink
adds to the answer ([Shrikumar et al. 2016](https://arxiv.org/abs/1605.01713)).
"""


def find(name_or_path: str, file: str) -> str | None:
    """The path of a file that lies with the model, in a folder or on the Hub; None without it."""
    try:
        return cached_file(name_or_path, file)
    except OSError:
        return None


def show_about(name_or_path: str) -> None:
    """Lay out the figures, plots and tables that a model brings along; what is missing is left out.

    Call it where its components shall stand, inside `gr.Blocks`.

    Args:
        name_or_path: A model on the Hub, or a folder.
    """
    if path := find(name_or_path, "eval_results.json"):
        results = json.loads(Path(path).read_text())
        lines = [line.format(results[key]) for key, line in RESULTS.items() if key in results]
        gr.Markdown("### On MNIST\n" + " ".join(lines))
    with gr.Row(elem_classes="plots"):
        for file, title in PLOTS.items():
            if path := find(name_or_path, file):
                with gr.Column():
                    gr.Markdown(f"### {title}")
                    gr.Image(path, label=title, show_label=False, container=False, buttons=[])
    if path := find(name_or_path, "benchmark.md"):
        table = Path(path).read_text()
        gr.Markdown(f"### On harder pictures\n\n{table}", elem_classes="table")
    name = "user/mnist-cnn" if Path(name_or_path).is_dir() else name_or_path
    gr.Markdown(LOADING.format(name=name))

"""The tab that tells what the model is, from the files that lie with it."""

import json
from pathlib import Path

import gradio as gr
from transformers.utils import cached_file

FIGURES = {
    "learning_curves.png": "Learning curves",
    "confusion_matrix.png": "Which digit it takes for which",
    "worst_errors.png": "Its errors, the surest first",
    "calibration.png": "How often it is right, against how sure it was",
}
LOADING = """\
```python
from transformers import pipeline

classify = pipeline("image-classification", model="{name}", trust_remote_code=True)
classify("digit.png")
```
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
    if results := find(name_or_path, "eval_results.json"):
        metrics = json.loads(Path(results).read_text())
        gr.Markdown(
            f"It reads **{metrics['eval_accuracy']:.2%}** of {metrics['eval_samples']:,} test "
            f"images of MNIST right. When it is sure, it is right to be: sureness and accuracy "
            f"differ by {metrics['eval_calibration_error']:.2%} on average."
        )
    if table := find(name_or_path, "benchmark.md"):
        gr.Markdown("## On harder pictures\n\n" + Path(table).read_text())
    with gr.Row():
        for file, label in FIGURES.items():
            if path := find(name_or_path, file):
                gr.Image(
                    path, label=label, interactive=False, buttons=["fullscreen"], min_width=320
                )
    name = "user/mnist-cnn" if Path(name_or_path).is_dir() else name_or_path
    gr.Markdown("## Load it elsewhere\n\n" + LOADING.format(name=name))

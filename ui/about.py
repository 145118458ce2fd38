"""The tab about the model, made from the files that lie beside its weights."""

import json
from pathlib import Path

import gradio as gr
from transformers.utils import cached_file

RESULTS = {
    "eval_accuracy": "Accuracy: **{:.2%}**",
    "eval_samples": "images: {:,}",
    "eval_calibration_error": "expected calibration error: {:.2%}",
}
PLOTS = {
    "learning_curves.png": "Learning curves",
    "worst_errors.png": "Misclassified images, at most 30, most confident first",
    "confusion_matrix.png": "Confusion matrix",
    "calibration.png": "Calibration: accuracy against confidence",
}
LOADING = """\
### Load it elsewhere

```python
from transformers import pipeline

classify = pipeline("image-classification", model="{name}", trust_remote_code=True)
classify("digit.png")  # [{{"label": "7", "score": 0.99...}}, ...]
```

The saliency map on the first page is gradient times input: to first order, how much each pixel adds
to the log odds of the answer ([Shrikumar et al. 2016](https://arxiv.org/abs/1605.01713)).
"""


def find(name_or_path: str, file: str) -> str | None:
    """The path of a file of a model, in a folder or on the Hub; None if it has no such file."""
    try:
        return cached_file(name_or_path, file)
    except OSError:
        return None


def show_about(name_or_path: str) -> None:
    """Add the model's results, plots and tables to the page; what it does not have is left out.

    Call it inside `gr.Blocks`, where the components belong.

    Args:
        name_or_path: A model on the Hub, or a folder.
    """
    if path := find(name_or_path, "eval_results.json"):
        results = json.loads(Path(path).read_text())
        lines = [line.format(results[key]) for key, line in RESULTS.items() if key in results]
        gr.Markdown("### Evaluation\n" + ", ".join(lines))
    with gr.Row(elem_classes="plots"):
        for file, title in PLOTS.items():
            if path := find(name_or_path, file):
                with gr.Column():
                    gr.Markdown(f"### {title}")
                    gr.Image(path, label=title, show_label=False, container=False, buttons=[])
    if path := find(name_or_path, "benchmark.md"):
        table = Path(path).read_text()
        gr.Markdown(f"### Robustness\n\n{table}", elem_classes="table")
    name = "user/mnist-cnn" if Path(name_or_path).is_dir() else name_or_path
    gr.Markdown(LOADING.format(name=name))

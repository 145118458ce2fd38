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
## Load it elsewhere

```python
from transformers import pipeline

classify = pipeline("image-classification", model="{name}", trust_remote_code=True)
classify("digit.png")  # [{{"label": "7", "score": 0.99...}}, ...]
```

The saliency map on the first page is gradient times input: to first order, how much each pixel adds
to the log odds of the answer ([Shrikumar et al. 2016](https://arxiv.org/abs/1605.01713)).
"""


def show_about(name_or_path: str) -> None:
    """Add to the page what a model, on the Hub or in a folder, has of results, plots and tables."""

    def find(file: str) -> Path | None:
        try:
            return Path(cached_file(name_or_path, file))
        except OSError:
            return None

    if path := find("eval_results.json"):
        results = json.loads(path.read_text())
        lines = [line.format(results[key]) for key, line in RESULTS.items() if key in results]
        gr.Markdown("## Evaluation\n" + ", ".join(lines))
    with gr.Row(elem_classes="plots"):
        for file, title in PLOTS.items():
            if path := find(file):
                with gr.Column():
                    gr.Markdown(f"## {title}")
                    gr.Image(path, label=title, show_label=False, container=False, buttons=[])
    if path := find("benchmark.md"):
        gr.Markdown(f"## Robustness\n\n{path.read_text()}", elem_classes="table")
    name = "YOUR_NAME/mnist-cnn" if Path(name_or_path).is_dir() else name_or_path
    gr.Markdown(LOADING.format(name=name))

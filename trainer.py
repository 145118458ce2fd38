"""A `Trainer` that keeps a moving average of the weights and logs the training accuracy."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from accelerate.utils import broadcast
from huggingface_hub import HfApi
from torch.optim.swa_utils import AveragedModel
from transformers import Trainer, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

UNFINISHED = "_unfinished"  # a name that `Trainer.push_to_hub` leaves out


class TellProgress(TrainerCallback):
    """Tells the training set, in each epoch, how much of training is done."""

    def on_epoch_begin(self, args, state, control, *, train_dataloader, **kwargs) -> None:
        # Not finer than epochs: loader processes have a copy of the set as it is now.
        train_dataloader.dataset.progress = (int(state.epoch) + 0.5) / state.num_train_epochs


class MnistTrainer(Trainer):
    """`Trainer` on one-hot labels, whose result is the exponential moving average of the weights.

    What is evaluated, saved and pushed is the average (Polyak & Juditsky 1992, as an exponential
    one); the weights that the optimizer moves are kept beside its state, so that an interrupted run
    resumes exactly.

    Args:
        ema_decay: Share of the average that each step keeps, 0-1. The first steps keep less, so
            that the initial weights are soon forgotten. 0 averages nothing.
        args, kwargs: As for `Trainer`.
    """

    def __init__(self, *args, ema_decay: float, **kwargs):
        super().__init__(*args, **kwargs)
        self.ema_decay = ema_decay
        self.average: AveragedModel | None = None
        self.label_smoother = None  # it needs class indices; compute_loss smooths one-hot labels
        self.correct = self.seen = 0
        self.add_callback(TellProgress())

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """The optimizer, which updates the average after each step and saves it with its state."""
        optimizer = super().create_optimizer(model)
        average = self.average = AveragedModel(self.model, avg_fn=self._ema, use_buffers=True)

        def add_weights(_, state: dict) -> dict:
            return state | {"weights": self.model.state_dict(), "average": average.state_dict()}

        def take_weights(_, state: dict) -> None:
            self.model.load_state_dict(state.pop("weights"))
            average.load_state_dict(state.pop("average"))

        optimizer.register_step_post_hook(lambda *_: average.update_parameters(self.model))
        optimizer.register_state_dict_post_hook(add_weights)
        optimizer.register_load_state_dict_pre_hook(take_weights)
        return optimizer

    def _ema(
        self, average: torch.Tensor, current: torch.Tensor, updates: torch.Tensor
    ) -> torch.Tensor:
        decay = min(self.ema_decay, (1 + updates.item()) / (10 + updates.item()))
        return average + (current - average) * (1 - decay)

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Within, the model has the averaged weights. Does nothing before and after training."""
        if self.average is None:
            yield
            return
        weights = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.model.load_state_dict(self.average.module.state_dict())
        try:
            yield
        finally:
            self.model.load_state_dict(weights)

    def share_average(self) -> None:
        """Give every process the average of the first, the one that is saved.

        Weights are the same everywhere, but not the statistics of batch normalisation.
        """
        if self.average is not None:
            broadcast(self.average.module.state_dict())

    def train(self, *args, **kwargs):
        """`Trainer.train`; afterwards the model has the averaged weights, in plain float32."""
        output = super().train(*args, **kwargs)
        self.share_average()
        if not self.args.load_best_model_at_end:
            self.model.load_state_dict(self.average.module.state_dict())
        self.average = None
        # Without this, autocast stays on and the final evaluation would not be of what is saved.
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        return output

    def evaluate(self, *args, **kwargs) -> dict[str, float]:
        """`Trainer.evaluate`, of the averaged weights."""
        self.share_average()
        with self.averaged_weights():
            return super().evaluate(*args, **kwargs)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        if not self.args.should_save:
            return
        output = Path(output_dir or self.args.output_dir)
        folder = output / UNFINISHED
        # Not `Trainer._save`, which adds a pickle of all arguments, the Hub token among them.
        try:
            with self.averaged_weights():
                self.model.save_pretrained(folder)
            self.processing_class.save_pretrained(folder)
            # Only a file that is complete takes the place of one that was there.
            for file in folder.iterdir():
                file.replace(output / file.name)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _save_checkpoint(self, *args, **kwargs) -> None:
        # What is written last tells that a checkpoint is complete: none of before may stay.
        folder = Path(self.args.output_dir, f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}")
        if self.args.should_save:
            (folder / TRAINER_STATE_NAME).unlink(missing_ok=True)
        super()._save_checkpoint(*args, **kwargs)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()  # each process has written its own

    def init_hf_repo(self, *args, **kwargs) -> None:
        """Create the repository, and find out now, not after training, if it cannot be written."""
        super().init_hf_repo(*args, **kwargs)
        if self.is_world_process_zero():
            HfApi().auth_check(self.hub_model_id, token=self.args.hub_token, write=True)

    def create_model_card(self, *args, **kwargs) -> None:
        """Nothing: `Trainer.push_to_hub` would put its generic card over the one of train.py."""

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ):
        """`Trainer.compute_loss`; in training, on smoothed labels if asked for, counting hits."""
        smoothing = self.args.label_smoothing_factor
        labels = inputs["labels"]
        if model.training and smoothing > 0:
            smooth = labels * (1 - smoothing) + smoothing / labels.shape[1]
            inputs = inputs | {"labels": smooth}
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if model.training:
            digits = labels.amax(1) > 0.5  # not those that are no digit
            right = outputs["logits"].argmax(1) == labels.argmax(1)
            self.correct += (right & digits).sum()
            self.seen += digits.sum()
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], *args, **kwargs) -> None:
        """`Trainer.log`, with the accuracy on the (augmented) batches since the last log."""
        if "loss" in logs and self.seen > 0:
            logs["accuracy"] = float(self.correct / self.seen)
            self.correct = self.seen = 0
        super().log(logs, *args, **kwargs)

"""The exponential moving average (EMA) of the weights, which is what training results in."""

import math
from copy import deepcopy
from pathlib import Path

import torch
from accelerate.utils import broadcast as broadcast_from_first
from accelerate.utils import wait_for_everyone
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import PreTrainedModel, TrainerCallback

from training.errors import InputError

EMA_FILE = "ema.safetensors"  # in a checkpoint; written last, so that it marks a complete one


class ExponentialMovingAverage(AveragedModel, TrainerCallback):
    """Updates the EMA after each optimizer step; saves and restores it with checkpoints.

    An exponential form of Polyak averaging (Polyak & Juditsky 1992), of the weights and of the
    statistics of batch normalisation.

    Args:
        model: Whose weights are averaged, before `Trainer` wraps it.
        decay: Share of the average that each step keeps, 0-1. The first steps keep less, so that
            the initial weights are soon forgotten. 0 averages nothing.

    Attributes:
        module: The network with the averaged weights.
        teacher: The average as it was before step `teacher_from`; until then the initial weights.
    """

    def __init__(self, model: PreTrainedModel, decay: float):
        def average(averaged: list[torch.Tensor], current: list[torch.Tensor], steps) -> None:
            # The warm-up of TensorFlow's ExponentialMovingAverage.
            warm_up = (1 + steps.item()) / (10 + steps.item())
            get_ema_multi_avg_fn(min(decay, warm_up))(averaged, current, steps)

        super().__init__(model, multi_avg_fn=average, use_buffers=True)
        self.teacher, self.teacher_from = deepcopy(model), math.inf
        self.register_buffer("has_teacher", torch.tensor(False))
        self.eval().requires_grad_(False)

    def broadcast(self) -> None:
        """Give every process the average of the first, which is the one that is saved.

        Weights are the same everywhere, but not the statistics of batch normalisation.
        """
        broadcast_from_first(self.module.state_dict())

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        if args.resume_from_checkpoint is not None:
            self.load_state_dict(load_file(Path(args.resume_from_checkpoint, EMA_FILE)))
        if state.global_step > self.teacher_from and not self.has_teacher:
            raise InputError(
                "By these flags distillation starts before the checkpoint, which has no teacher. "
                "Resume with the flags of that run."
            )

    def on_step_begin(self, args, state, control, **kwargs) -> None:
        if state.global_step == self.teacher_from:
            self.broadcast()
            self.teacher.load_state_dict(self.module.state_dict())
            self.has_teacher.fill_(True)

    def on_optimizer_step(self, args, state, control, *, model, **kwargs) -> None:
        self.update_parameters(model)

    def on_save(self, args, state, control, **kwargs) -> None:
        wait_for_everyone()  # until each process has written its part of the checkpoint
        if state.is_world_process_zero:
            file = Path(args.output_dir, f"checkpoint-{state.global_step}", EMA_FILE)
            unfinished = file.with_suffix(".unfinished")
            save_file({k: t.contiguous() for k, t in self.state_dict().items()}, unfinished)
            unfinished.replace(file)

    def on_train_end(self, args, state, control, *, model, **kwargs) -> None:
        if args.load_best_model_at_end and state.best_model_checkpoint is not None:
            self.load_state_dict(load_file(Path(state.best_model_checkpoint, EMA_FILE)))
        self.broadcast()
        model.load_state_dict(self.module.state_dict())

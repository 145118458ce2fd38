"""Random, label-preserving changes to digits, made for a whole batch at once.

Each digit is turned, slanted, stretched, moved, bent and written with a thinner or thicker pen, so
that a network sees far more handwriting than the 60,000 images it is given. Only training uses it,
and less and less of it, so that a network ends on handwriting as it is.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass
class Augmentation:
    """How far a digit may be changed at first. Everything is drawn anew for each image of a batch.

    Attributes:
        rotation: Largest turn either way, in degrees.
        slant: Largest horizontal shear either way: sideways pixels per pixel of height.
        stretch: Largest change of width and of height, as a fraction; the two are independent.
        shift: Largest move in x and in y, in pixels.
        elastic: Standard deviation of a smooth random displacement, in pixels (Simard et al. 2003,
            section 2, with a coarse random grid in place of a Gaussian filter).
        elastic_grid: Points per side of that coarse grid: more points bend at a finer scale.
        thinner: Largest mix with the digit eroded by one pixel, 0-1.
        thicker: Largest mix with the digit dilated by one pixel, 0-1.
        final_strength: Share of all of these that is left when training ends, 0-1.
    """

    rotation: float = 12.0
    slant: float = 0.25
    stretch: float = 0.12
    shift: float = 1.5
    elastic: float = 0.8
    elastic_grid: int = 6
    thinner: float = 0.4
    thicker: float = 0.6
    final_strength: float = 0.4

    def __call__(
        self, pixel_values: torch.Tensor, generator: torch.Generator, progress: float = 0.0
    ) -> torch.Tensor:
        """Change every image: (B, 1, H, W) float 0-1 in, the same shape and range out.

        All randomness comes from `generator`, which lies on the device of `pixel_values`.
        `progress` is the share of training that is done, 0-1.
        """
        strength = 1 + (self.final_strength - 1) * progress
        changed = self.change_pen(pixel_values, strength, generator)
        return self.warp(changed, strength, generator)

    def change_pen(
        self, pixel_values: torch.Tensor, strength: float, generator: torch.Generator
    ) -> torch.Tensor:
        """Mix with the eroded or the dilated digit: (B, 1, H, W) -> the same."""
        thick = F.max_pool2d(pixel_values, kernel_size=3, stride=1, padding=1)
        thin = -F.max_pool2d(-pixel_values, kernel_size=3, stride=1, padding=1)
        width = pixel_values.new_empty(len(pixel_values), 1, 1, 1)
        width.uniform_(-strength * self.thinner, strength * self.thicker, generator=generator)
        return torch.lerp(pixel_values, torch.where(width > 0, thick, thin), width.abs())

    def warp(
        self, pixel_values: torch.Tensor, strength: float, generator: torch.Generator
    ) -> torch.Tensor:
        """Turn, slant, stretch, move and bend, all in one resampling: (B, 1, H, W) -> the same."""
        batch, _, height, width = pixel_values.shape

        def either_way(largest: float) -> torch.Tensor:
            limit = strength * largest
            return pixel_values.new_empty(batch).uniform_(-limit, limit, generator=generator)

        angle = torch.deg2rad(either_way(self.rotation))
        slant = either_way(self.slant)
        stretch_x, stretch_y = 1 + either_way(self.stretch), 1 + either_way(self.stretch)
        shift_x, shift_y = either_way(self.shift) * 2 / width, either_way(self.shift) * 2 / height

        # Rows of rotation @ slant @ stretch: where in the source each target pixel looks.
        cos, sin = torch.cos(angle), torch.sin(angle)
        row_x = torch.stack([cos * stretch_x, (cos * slant - sin) * stretch_y, shift_x], dim=1)
        row_y = torch.stack([sin * stretch_x, (sin * slant + cos) * stretch_y, shift_y], dim=1)
        grid = F.affine_grid(
            torch.stack([row_x, row_y], dim=1), list(pixel_values.shape), align_corners=False
        )
        coarse = pixel_values.new_empty(batch, 2, self.elastic_grid, self.elastic_grid)
        coarse.normal_(generator=generator)
        bend = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
        pixel_size = torch.tensor([2 / width, 2 / height], device=pixel_values.device)
        grid = grid + bend.permute(0, 2, 3, 1) * (strength * self.elastic) * pixel_size
        return F.grid_sample(pixel_values, grid, align_corners=False)

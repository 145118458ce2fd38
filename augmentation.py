"""Random, label-preserving changes to digits, made for a whole batch at once.

Each digit is turned, slanted, stretched, moved, bent and written with a thinner or thicker pen, so
that a network sees far more handwriting than the 60,000 images it is given. Only training uses it.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass
class Augmentation:
    """How far a digit may be changed. Everything is drawn anew for each image of a batch.

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
    """

    rotation: float = 12.0
    slant: float = 0.25
    stretch: float = 0.12
    shift: float = 1.5
    elastic: float = 0.8
    elastic_grid: int = 6
    thinner: float = 0.4
    thicker: float = 0.6

    def __call__(self, pixel_values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Change every image: (B, 1, H, W) float 0-1 in, the same shape and range out.

        All randomness comes from `generator`, which lies on the device of `pixel_values`.
        """
        return self.warp(self.change_pen(pixel_values, generator), generator)

    def change_pen(self, pixel_values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Mix with the eroded or the dilated digit: (B, 1, H, W) -> the same."""
        thick = F.max_pool2d(pixel_values, kernel_size=3, stride=1, padding=1)
        thin = -F.max_pool2d(-pixel_values, kernel_size=3, stride=1, padding=1)
        width = pixel_values.new_empty(len(pixel_values), 1, 1, 1)
        width.uniform_(-self.thinner, self.thicker, generator=generator)
        return torch.lerp(pixel_values, torch.where(width > 0, thick, thin), width.abs())

    def warp(self, pixel_values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Turn, slant, stretch, move and bend, all in one resampling: (B, 1, H, W) -> the same."""
        batch, _, height, width = pixel_values.shape

        def uniform(low: float, high: float) -> torch.Tensor:
            return pixel_values.new_empty(batch).uniform_(low, high, generator=generator)

        angle = torch.deg2rad(uniform(-self.rotation, self.rotation))
        slant = uniform(-self.slant, self.slant)
        stretch_x = uniform(1 - self.stretch, 1 + self.stretch)
        stretch_y = uniform(1 - self.stretch, 1 + self.stretch)
        shift_x = uniform(-self.shift, self.shift) * 2 / width
        shift_y = uniform(-self.shift, self.shift) * 2 / height

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
        grid = grid + bend.permute(0, 2, 3, 1) * self.elastic * pixel_size
        return F.grid_sample(pixel_values, grid, align_corners=False)

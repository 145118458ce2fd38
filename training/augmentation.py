"""Random, label-preserving changes to digits, made for a whole batch at once.

`Augmentation` varies what the network learns from; `views` are the fixed variants over which its
teacher averages.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass
class Augmentation:
    """Rotates, shears, scales, shifts, deforms, and thins or thickens each image differently.

    Randomness comes from torch's default generator of the images' device, which `Trainer` saves and
    restores.

    Attributes:
        rotation: Largest rotation either way, in degrees.
        shear: Largest horizontal shear either way: sideways pixels per pixel of height.
        scale: Largest change of width and of height, as a fraction; the two are independent.
        shift: Largest shift in x and in y, in pixels.
        elastic: Standard deviation of a smooth random displacement, in pixels (Simard et al. 2003,
            section 2, with a coarse random grid in place of a Gaussian filter).
        elastic_grid: Points per side of that coarse grid: more points deform at a finer scale.
        thinner: Largest mix with the digit eroded by one pixel, 0-1.
        thicker: Largest mix with the digit dilated by one pixel, 0-1.
    """

    rotation: float = 12.0
    shear: float = 0.25
    scale: float = 0.12
    shift: float = 1.5
    elastic: float = 0.8
    elastic_grid: int = 6
    thinner: float = 0.4
    thicker: float = 0.6

    def __call__(self, pixel_values: torch.Tensor, strength: float = 1.0) -> torch.Tensor:
        """Change every image: (B, 1, H, W) float 0-1 in, the same shape and range out.

        `strength` multiplies every limit; 0 changes nothing.
        """
        return self.warp(self.change_stroke_width(pixel_values, strength), strength)

    def change_stroke_width(self, pixel_values: torch.Tensor, strength: float) -> torch.Tensor:
        """Thin or thicken the strokes: (B, 1, H, W) -> the same."""
        change = pixel_values.new_empty(len(pixel_values), 1, 1, 1)
        return change_stroke_width(
            pixel_values, change.uniform_(-strength * self.thinner, strength * self.thicker)
        )

    def warp(self, pixel_values: torch.Tensor, strength: float) -> torch.Tensor:
        """Every change of geometry, in one resampling: (B, 1, H, W) -> the same."""
        batch, _, height, width = pixel_values.shape

        def either_way(largest: float) -> torch.Tensor:
            return pixel_values.new_empty(batch).uniform_(-strength * largest, strength * largest)

        angle = torch.deg2rad(either_way(self.rotation))
        shear = either_way(self.shear)
        scale_x, scale_y = 1 + either_way(self.scale), 1 + either_way(self.scale)
        shift_x, shift_y = either_way(self.shift) * 2 / width, either_way(self.shift) * 2 / height

        # Rows of rotation @ shear @ scale: where in the source each target pixel lies.
        cos, sin = torch.cos(angle), torch.sin(angle)
        row_x = torch.stack([cos * scale_x, (cos * shear - sin) * scale_y, shift_x], dim=1)
        row_y = torch.stack([sin * scale_x, (sin * shear + cos) * scale_y, shift_y], dim=1)
        grid = F.affine_grid(
            torch.stack([row_x, row_y], dim=1), list(pixel_values.shape), align_corners=False
        )
        coarse = pixel_values.new_empty(batch, 2, self.elastic_grid, self.elastic_grid).normal_()
        displacement = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
        pixel_size = torch.tensor([2 / width, 2 / height], device=pixel_values.device)
        grid = grid + displacement.permute(0, 2, 3, 1) * (strength * self.elastic) * pixel_size
        return F.grid_sample(pixel_values, grid, align_corners=False)


def change_stroke_width(pixel_values: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Mix digits with themselves eroded (-1) to dilated (1) by one pixel.

    (B, 1, H, W) float 0-1 and a change that broadcasts with it -> the shape of both.
    """
    thick = F.max_pool2d(pixel_values, kernel_size=3, stride=1, padding=1)
    thin = -F.max_pool2d(-pixel_values, kernel_size=3, stride=1, padding=1)
    return torch.lerp(pixel_values, torch.where(change > 0, thick, thin), change.abs())


# A view: rotation in degrees, scale, and change as in `change_stroke_width`.
VIEWS = ((0.0, 1.0, 0.0), (5.0, 1.08, 0.4), (-5.0, 0.92, -0.3))


def views(pixel_values: torch.Tensor) -> torch.Tensor:
    """The `VIEWS` of every image, the first as it is: (B, 1, H, W) 0-1 -> (3, B, 1, H, W)."""
    angle, scale, pen = pixel_values.new_tensor(VIEWS).T
    changed = change_stroke_width(pixel_values, pen.view(-1, 1, 1, 1, 1))
    # affine_grid maps from the view to the image, so that a larger digit is a smaller step.
    cos, sin = torch.deg2rad(angle).cos() / scale, torch.deg2rad(angle).sin() / scale
    zero = torch.zeros_like(scale)
    matrices = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
    # The images of a view share its grid, so they take the place of channels.
    channels = changed.flatten(1, 2)
    grid = F.affine_grid(matrices, list(channels.shape), align_corners=False)
    return F.grid_sample(channels, grid, align_corners=False).view_as(changed)

"""Changes to a batch of digits: random ones to learn from, and fixed ones for the teacher."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass
class Augmentation:
    """Rotates, shears, scales, shifts, deforms, and thins or thickens each image differently.

    Randomness comes from torch's default generator of the images' device, which `Trainer` saves and
    restores. The elastic deformation is that of Simard et al. 2003, section 2, with a coarse random
    grid in place of a Gaussian filter.
    """

    # The largest change either way.
    rotation: float = 12.0  # degrees
    shear: float = 0.25  # sideways pixels per pixel of height
    scale: float = 0.12  # fraction of the width, and, drawn anew, of the height
    shift: float = 1.5  # pixels, in x and in y
    # The largest mix with the digit eroded and dilated by one pixel, 0-1.
    thinner: float = 0.4
    thicker: float = 0.6
    elastic: float = 0.8  # pixels: standard deviation of a smooth random displacement
    elastic_grid: int = 6  # points per side of its grid: more points deform at a finer scale

    def __call__(self, pixel_values: torch.Tensor, strength: float = 1.0) -> torch.Tensor:
        """Change every image: (B, 1, H, W) float 0-1 in, the same shape and range out.

        `strength` multiplies every limit; 0 changes nothing.
        """
        batch, _, height, width = pixel_values.shape

        def uniform(low: float, high: float) -> torch.Tensor:
            return pixel_values.new_empty(batch).uniform_(strength * low, strength * high)

        pen = uniform(-self.thinner, self.thicker).view(-1, 1, 1, 1)
        limits = (self.rotation, self.shear, self.scale, self.scale, self.shift, self.shift)
        angle, shear, wider, taller, shift_x, shift_y = (uniform(-limit, limit) for limit in limits)

        # Where in the source each target pixel lies: rotation @ shear @ scale, and the shift.
        sin, cos = torch.deg2rad(angle).sin(), torch.deg2rad(angle).cos()
        row_x = [cos * (1 + wider), (cos * shear - sin) * (1 + taller), shift_x * 2 / width]
        row_y = [sin * (1 + wider), (sin * shear + cos) * (1 + taller), shift_y * 2 / height]
        matrices = torch.stack([*row_x, *row_y], dim=1).view(-1, 2, 3)
        grid = F.affine_grid(matrices, list(pixel_values.shape), align_corners=False)

        coarse = pixel_values.new_empty(batch, 2, self.elastic_grid, self.elastic_grid).normal_()
        displacement = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
        pixel_size = pixel_values.new_tensor([2 / width, 2 / height])
        grid += displacement.permute(0, 2, 3, 1) * (strength * self.elastic) * pixel_size
        changed = change_stroke_width(pixel_values, pen)
        return F.grid_sample(changed, grid, align_corners=False)


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

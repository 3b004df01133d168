"""The buffer of generated images that discriminators train on (arXiv 1612.07828, section 2.3)."""

import random
from typing import Any

import torch
from torch import Tensor

from . import global_batch, ranks
from .errors import UserError


class ImagePool:
    """A buffer of generated images, so that a discriminator also trains on older ones.

    Until it is full, each image is stored and returned. Then, with probability 1/2, a random
    stored image is returned and the new one takes its place; else the new one is returned.
    A pool of size 0 returns its input.

    Where several processes train together, each has the same buffer: it exchanges the images of all
    of them, in the order of one process with the global batch, and takes its share of the results.
    """

    def __init__(self, pool_size: int, rng: random.Random | None = None) -> None:
        self.pool_size = pool_size
        self.images: list[Tensor] = []
        # seeded by the stream that --seed seeds: reproducible, and alike on all processes
        self.rng = rng or random.Random(random.getrandbits(64))

    def query(self, images: Tensor) -> Tensor:
        """Exchange each image with the buffer: (N, C, H, W) -> (N, C, H, W), detached.

        Without a buffer the batch itself is returned. Raises UserError where images of several
        sizes would be in a batch.
        """
        if self.pool_size == 0:
            return images
        images = images.detach()
        parts = global_batch.gather_batches(images)
        exchanged = [[self._exchange(image) for image in part] for part in parts]
        own = exchanged[ranks.rank()]
        if len({image.shape for image in own}) > 1:
            raise UserError(
                "--pool_size: the image pool holds generated images of several sizes, which make "
                "no batch: give --batch_size 1, --pool_size 0, or --preprocess with crop"
            )
        return torch.stack(own) if own else images

    def _exchange(self, image: Tensor) -> Tensor:
        if len(self.images) < self.pool_size:
            self.images.append(image.clone())
            return image
        if self.rng.random() < 0.5:
            return image
        index = self.rng.randrange(self.pool_size)
        stored, self.images[index] = self.images[index], image.clone()
        return stored

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming needs: the images, on the CPU, and the random stream's state."""
        version, numbers, gauss = self.rng.getstate()
        return {
            "images": [image.cpu() for image in self.images],
            "rng": [version, list(numbers), gauss],
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore what `state_dict` returned, with the images on `device`."""
        self.images = [image.to(device) for image in state["images"]]
        version, numbers, gauss = state["rng"]
        self.rng.setstate((version, tuple(numbers), gauss))

"""Features of sets of images that do not change, computed once."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from util import ranks, sharing
from util.errors import UserError
from util.files import make_folder, write_atomically
from util.images import Uint8Image

from .extractors import Extractor
from .image_set import ImageSet

log = logging.getLogger(__name__)


class FeatureCache:
    """Features by the contents of the images, the extractor and its weights.

    In memory, and in `folder` for later runs where one is given. A damaged file is computed anew.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._there: dict[str, Tensor] = {}

    def features(self, images: Mapping[str, Uint8Image], extractor: Extractor) -> Tensor:
        """(N, F) float32 of all images, in the order of their names.

        Several processes compute a share each; rank 0 reads and writes the files.
        """
        if not isinstance(images, ImageSet):
            return _computed(images, extractor)
        key = sharing.on_main(lambda: _key(images, extractor))
        if key not in self._there:
            found = sharing.on_main(lambda: self._load(key, len(images)))
            if found is None:
                found = computed = _computed(images, extractor)
                sharing.on_main(lambda: self._save(key, computed))
            self._there[key] = found
        return self._there[key]

    def _path(self, key: str) -> Path | None:
        return self.folder / f"{key}.npy" if self.folder is not None else None

    def _load(self, key: str, count: int) -> Tensor | None:
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            found = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError):
            return None
        fits = found.ndim == 2 and len(found) == count and found.dtype == np.float32
        return torch.from_numpy(found) if fits else None

    def _save(self, key: str, features: Tensor) -> None:
        path = self._path(key)
        if path is None:
            return
        try:
            make_folder(path.parent)
            write_atomically(path, lambda file: np.save(file, features.numpy()))
        except UserError as error:
            log.warning("features are computed anew each time: %s", error)


def _computed(images: Mapping[str, Uint8Image], extractor: Extractor) -> Tensor:
    names = sorted(images)
    if ranks.world() == 1:
        return extractor.features(images[name] for name in names)
    own = sharing.share(names)
    # copies: a row of a larger tensor would be sent with all of it
    rows = sharing.on_all(lambda: {name: extractor(images[name])[0].clone() for name in own})
    found = sharing.merged(rows)
    return torch.stack([found[name] for name in names])


def _key(images: ImageSet, extractor: Extractor) -> str:
    parts = (images.digest, extractor.fingerprint, extractor.device.type, torch.__version__)
    return hashlib.blake2b("/".join(parts).encode(), digest_size=16).hexdigest()

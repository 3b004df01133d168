"""The images of tar shards as a sequence of paths that `read_image` reads."""

import logging
from argparse import Namespace
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from util.errors import DataError, UsageError, UserError
from util.files import file_version, list_folder

from ..image_folder import StoredImage
from .shard_index import (
    COMMAND,
    Shard,
    count_local,
    index_place,
    is_local,
    join_index,
    members,
    read_index,
    with_slashes,
)
from .shard_streams import ShardStreams, import_webdataset

log = logging.getLogger(__name__)

Table = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], bytes]


def find_shards(opt: Namespace, side: str) -> list[Shard]:
    """Return the shards of a side, "A" or "B", with at least one and at most all of their images.

    Together they have at most --max_dataset_size images, the first ones. Raises UsageError or
    UserError where --dataroot names none, or where it is not known how many images they hold.
    """
    import_webdataset()
    place = opt.dataroot if side == "A" or not opt.dataroot_B else opt.dataroot_B
    if is_pattern(opt.dataroot) != bool(opt.dataroot_B):
        raise UsageError(
            "--dataset_mode shards takes a folder, --dataroot DIR, or the shards of both sides: "
            '--dataroot "A-{000..063}.tar" --dataroot_B "B-{000..063}.tar"'
        )
    place = with_slashes(place)
    shards = _of_pattern(place, opt) if is_pattern(place) else _of_folder(place, opt.phase + side)
    if opt.cache != "none" and not all(is_local(s.url) or s.content for s in shards):
        raise UsageError(
            f"--cache {opt.cache} needs an index that describes the shards of {place}: "
            f"write it with {COMMAND}, or leave the flag out"
        )
    shards = _limited(shards, opt.max_dataset_size)
    if not shards:
        raise UserError(f"--dataroot: the shards of {place} hold no image")
    return shards


def is_pattern(place: str) -> bool:
    """Return whether a place names tar files rather than a folder of them."""
    return not Path(place).is_dir() and (".tar" in place or ".tgz" in place or "pipe:" in place)


def _of_folder(folder: str, name: str) -> list[Shard]:
    place = f"{folder.rstrip('/')}/{name}-index.json"
    index = read_index(place)
    if index is not None:
        urls = [f"{folder.rstrip('/')}/{file}" for file in index]
        return join_index(urls, index, place)
    found = sorted(path.as_posix() for path in Path(folder).glob(f"{name}-*.tar"))
    if not found:
        raise UserError(
            f"--dataroot: there is no {folder}/{name}-*.tar (scripts/pack_shards.py makes them); "
            f"{list_folder(Path(folder))}"
        )
    return _counted(found, place)


def _of_pattern(pattern: str, opt: Namespace) -> list[Shard]:
    try:
        urls = import_webdataset().shardlists.expand_urls(pattern)
    except (AssertionError, ValueError) as error:
        raise UserError(f"--dataroot {pattern}: cannot be expanded ({error})") from error
    local = all(map(is_local, urls))
    if opt.shard_images and not local:
        return [Shard(url, opt.shard_images) for url in urls]
    place = index_place(pattern)
    index = read_index(place)
    if index is not None:
        return join_index(urls, index, place)
    if local:
        return _counted(urls, place)
    raise UserError(
        f"--dataroot {pattern}: there is no {place}, which says how many images each shard holds; "
        f"write it with {COMMAND}, or give --shard_images N where all hold N"
    )


def _counted(urls: Sequence[str], place: str) -> list[Shard]:
    log.info("counting the images of %d shards (%s writes %s)", len(urls), COMMAND, place)
    return count_local(urls)


def _limited(shards: Sequence[Shard], most: float) -> list[Shard]:
    first = accumulate((shard.images for shard in shards), initial=0)
    limited = [
        Shard(shard.url, int(min(shard.images, most - before)), shard.content)
        for shard, before in zip(shards, first, strict=False)
        if before < most
    ]
    return [shard for shard in limited if shard.images > 0]


class ShardImages(Sequence[str]):
    """The paths of the images of some shards, in the order in which they are stored.

    A path is that of the shard and the name of the image in it; where a shard can only be read from
    its start, the name is `#` and the position, from 0. It is a StoredImage.
    """

    def __init__(self, shards: Sequence[Shard], streams: ShardStreams) -> None:
        self.shards, self.streams = tuple(shards), streams
        self._first = [0, *accumulate(shard.images for shard in shards)]
        self._tables: dict[str, Table] = {}

    def __len__(self) -> int:
        """Return the number of images."""
        return self._first[-1]

    @overload
    def __getitem__(self, index: int) -> "ShardImage": ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> "ShardImage | list[str]":
        """Return the path of an image. Raises DataError where its shard holds fewer images."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = bisect_right(self._first, range(len(self))[index]) - 1
        return ShardImage(self, self.shards[number], range(len(self))[index] - self._first[number])

    def __contains__(self, path: object) -> bool:
        """Return whether a path is one of an image of these shards."""
        return isinstance(path, str) and any(
            path.startswith((f"{shard.url}/", f"{shard.url}#")) for shard in self.shards
        )

    def __getstate__(self) -> tuple[tuple[Shard, ...], ShardStreams]:
        return self.shards, self.streams

    def __setstate__(self, state: tuple[tuple[Shard, ...], ShardStreams]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    def place(self, shard: Shard, position: int) -> tuple[int, int, str]:
        """Return the offset, the size and the name of an image of a local shard."""
        if shard.url not in self._tables:
            self._tables[shard.url] = _table(shard)
        offsets, sizes, names = self._tables[shard.url]
        name = names.split(b"\0")[position].decode(errors="surrogateescape")
        return int(offsets[position]), int(sizes[position]), name


class ShardImage(StoredImage):
    """The path of an image in a shard."""

    images: ShardImages
    shard: Shard
    position: int

    def __new__(cls, images: ShardImages, shard: Shard, position: int) -> "ShardImage":
        if is_local(shard.url):
            path = f"{shard.url}/{images.place(shard, position)[2]}"
        else:
            path = f"{shard.url}#{position}"
        self = super().__new__(cls, path)
        self.images, self.shard, self.position = images, shard, position
        return self

    def content(self) -> bytes:
        """Return the bytes of the image file. Raises DataError where the shard cannot be read."""
        if not is_local(self.shard.url):
            return self.images.streams.read(self.shard.url, self.position)
        offset, size, _ = self.images.place(self.shard, self.position)
        try:
            with open(self.shard.url, "rb") as file:  # noqa: PTH123 - once per item
                file.seek(offset)
                return file.read(size)
        except OSError as error:
            raise DataError(f"cannot read the shard {self.shard.url} ({error.strerror})") from error

    def identity(self) -> object:
        """Return what identifies the bytes: the content of the shard, or its file and its times."""
        if self.shard.content.count("-"):  # it has a hash
            return "shard", self.shard.content, self.position
        url = self.shard.url
        if not is_local(url):
            return "shard", url, self.shard.content, self.position
        return "shard", *file_version(url), self.position


def _table(shard: Shard) -> Table:
    """Return offsets, sizes and, separated by zero bytes, names of the images of a local shard."""
    found = members(shard.url)
    if len(found) < shard.images:
        raise DataError(
            f"{shard.url} holds {len(found)} images, and its index says more: write the index "
            f"again with {COMMAND}"
        )
    names = (entry.name.encode(errors="surrogateescape") for entry in found)
    offsets = np.array([entry.offset_data for entry in found], np.int64)
    sizes = np.array([entry.size for entry in found], np.int64)
    return offsets, sizes, b"\0".join(names)

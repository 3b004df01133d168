"""The buffer of generated images."""

import random

import torch

from util.errors import UserError
from util.image_pool import ImagePool


def numbered(first: int, count: int) -> torch.Tensor:
    """Images (count, 1, 1, 1) whose value is their number."""
    return torch.arange(first, first + count, dtype=torch.float32).view(-1, 1, 1, 1)


def test_size_zero_returns_its_input() -> None:
    images = numbered(0, 3)
    assert ImagePool(0).query(images) is images


def test_until_full_every_image_is_stored_and_returned() -> None:
    pool = ImagePool(5, random.Random(0))
    for first in range(0, 5):
        assert torch.equal(pool.query(numbered(first, 1)), numbered(first, 1))
    assert [float(image) for image in pool.images] == [0, 1, 2, 3, 4]


def test_once_full_half_of_the_images_come_from_the_pool() -> None:
    draws, size = 4000, 50
    pool = ImagePool(size, random.Random(3))
    pool.query(numbered(0, size))
    old, ages = 0, []
    for number in range(size, size + draws):
        before = {float(image) for image in pool.images}
        returned = float(pool.query(numbered(number, 1)))
        after = {float(image) for image in pool.images}
        if returned == number:
            assert after == before
        else:
            old += 1
            ages.append(number - returned)
            assert after == (before - {returned}) | {float(number)}
    assert abs(old / draws - 0.5) < 4 * 0.5 / draws**0.5
    # an image is replaced with probability 1 / (2 * size) per step: its mean age is 2 * size
    settled = ages[len(ages) // 4 :]
    assert abs(sum(settled) / len(settled) - 2 * size) < 15


def test_every_stored_image_is_drawn() -> None:
    pool = ImagePool(4, random.Random(1))
    pool.query(numbered(0, 4))
    first = [float(image) for image in pool.images]
    for number in range(4, 60):
        pool.query(numbered(number, 1))
    assert all(float(now) != was for now, was in zip(pool.images, first, strict=True))


def test_returned_images_are_detached_and_not_aliases_of_the_stored() -> None:
    pool = ImagePool(2, random.Random(0))
    image = torch.ones(1, 1, 2, 2, requires_grad=True)
    returned = pool.query(image * 1)
    assert not returned.requires_grad
    returned.zero_()
    assert pool.images[0].eq(1).all()


def test_a_restored_pool_returns_what_the_first_would_have() -> None:
    pool = ImagePool(3, random.Random(7))
    for number in range(20):
        pool.query(numbered(number, 1))
    other = ImagePool(3, random.Random(99))
    other.load_state_dict(pool.state_dict(), torch.device("cpu"))
    for number in range(20, 60):
        assert torch.equal(pool.query(numbered(number, 1)), other.query(numbered(number, 1)))


def test_images_of_several_sizes_make_no_batch() -> None:
    pool = ImagePool(2, random.Random(0))
    pool.query(torch.zeros(2, 3, 4, 4))
    for _ in range(8):  # of which some get an older image and some a new one
        try:
            pool.query(torch.zeros(2, 3, 4, 8))
        except UserError as error:
            assert "give --batch_size 1, --pool_size 0" in str(error)
            return
    raise AssertionError

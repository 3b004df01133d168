"""Reads mutated image files: each is read, or refused with its name. Started by test_fuzz.py.

Usage: PYTHONPATH=. python tests/fuzz_images.py FOLDER SEED COUNT
"""

import faulthandler
import io
import random
import re
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from data.reading.image_reader import ImageReader
from options.test_options import TestOptions
from options.train_options import TrainOptions
from util import image_files
from util.deep_images import encode
from util.errors import UserError
from util.results.folder import write_image

SECONDS = 120
"""Within which a file of some kilobytes is read on any machine; longer is a hang."""
MEMORY = 2**31
"""Bytes beyond those that the program takes as it starts."""
LARGEST = 2**28
"""Bytes that an image may take: a few declare more, which need not be allocated here."""
EXTREMES = [bytes(4), b"\xff" * 4, b"\x80" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\1\0\0\0"]


def seeds() -> list[tuple[str, bytes]]:
    """Return file endings and whole files of all formats and many modes."""
    levels = np.random.RandomState(0).randint(0, 256, (13, 17, 4), dtype=np.uint8)
    deep = levels[..., :3].astype(np.uint16) * 257
    rgba, rgb = Image.fromarray(levels), Image.fromarray(levels[..., :3])
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x8769] = 6, "Camera", {0x829A: 0.5}
    exif[0x8825] = {1: "N", 2: (1.0, 2.0, 3.0)}
    numbers = Image.fromarray(deep[..., 0].astype(np.int32))
    more: dict[str, object] = {"exif": exif.tobytes(), "icc_profile": b"profile" * 20}
    images: list[tuple[str, Image.Image, dict[str, object]]] = [
        ("jpg", rgb, more),
        ("jpg", rgb, {"progressive": True, "quality": 50}),
        ("jpg", rgb.convert("CMYK"), more),
        ("jpg", rgb.convert("L"), {}),
        ("png", rgba, more),
        ("png", rgb.convert("P"), {"transparency": 3}),
        ("png", rgba.convert("LA"), {}),
        ("png", Image.fromarray(deep[..., 0]), more),
        ("webp", rgba, {"lossless": True}),
        ("webp", rgb, more),
        ("bmp", rgb, {}),
        ("ppm", rgb, {}),
        ("gif", rgb, {"save_all": True, "append_images": [rgb.rotate(90)]}),
        ("tiff", rgb, more),
        ("tiff", rgba, {"compression": "tiff_lzw"}),
        ("tiff", rgb, {"compression": "jpeg"}),
        ("tiff", Image.fromarray(deep[..., 0]), {"compression": "tiff_adobe_deflate"}),
        ("tiff", Image.fromarray(levels[..., 0].astype(np.float32)), {}),
        ("tiff", numbers, {}),
    ]
    rgb_float = (levels[..., :3] / 255).astype(np.float32)
    files = [
        *(("png", encode(deep, "PNG")), ("tiff", encode(deep, "TIFF"))),
        *(("npy", encode(deep, "NPY")), ("tiff", encode(rgb_float, "TIFF"))),
    ]
    for ending, image, options in images:
        file = io.BytesIO()
        image.save(file, format="JPEG" if ending == "jpg" else ending.upper(), **options)
        files.append((ending, file.getvalue()))
    return files


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return a file with some bytes changed, cut off, repeated or taken out."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        # headers decide more than pixels
        place = rng.randrange(len(data) if rng.random() < 0.4 else min(len(data), 120))
        kind = rng.randrange(6)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place] = rng.randrange(256)
        elif kind == 2:
            data[place : place + 4] = rng.choice(EXTREMES)
        elif kind == 3 and len(data) > 40:
            del data[place : place + rng.randrange(1, 30)]
        elif kind == 4:
            data[place:place] = data[place : place + rng.randrange(1, 30)]
        elif rng.random() < 0.2:
            del data[max(4, place) :]
    return bytes(data)


def limit_memory() -> None:
    """Let allocations fail that exceed MEMORY, where the system can do that."""
    if sys.platform != "linux":
        return
    import resource

    status = Path("/proc/self/status").read_text(encoding="ascii")
    used = int(re.findall(r"VmSize:\s+(\d+) kB", status)[0]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def main(folder: Path, seed: int, count: int) -> None:
    """Read `count` mutated files by the options of inference and of training in turn."""
    rng, originals, outcomes = random.Random(seed), seeds(), Counter[str]()
    inference = ImageReader(TestOptions().parse(["--dataset_mode", "single", "--input", "x"]))
    small = ["--load_size", "8", "--crop_size", "8", "--dataroot", "x", "--netD", "pixel"]
    training = ImageReader(TrainOptions().parse([*small, "--background", "white"]))
    image_files.available_bytes = lambda device: LARGEST
    warnings.simplefilter("ignore")  # by which Pillow tells of damage
    limit_memory()
    for number in range(count):
        ending, content = originals[number % len(originals)]
        path = folder / f"{number}.{ending if rng.random() < 0.8 else 'png'}"
        path.write_bytes(mutated(content, rng) if number >= len(originals) else content)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            levels = (inference, training)[number % 2].read_uint8(str(path), 3)
            assert levels.shape[0] == 3, levels.shape
            assert 0 <= levels.min() <= levels.max() <= 255, levels
            if number % 2 == 0:
                write_image(Image.new("RGB", (4, 4)), folder / "out.tiff", 90, path)
            outcomes["read"] += 1
        except UserError as error:
            assert str(number) in str(error), error
            outcomes["refused"] += 1
        except BaseException:
            sys.stderr.write(f"file {path} (seed {seed}, of format {ending}):\n")
            raise
        path.unlink()
    faulthandler.cancel_dump_traceback_later()
    sys.stdout.write(f"{outcomes['read']} read, {outcomes['refused']} refused\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

"""Small videos shared by the tests of unusual and of damaged ones."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from conftest import picture
from PIL import Image
from test_inference_videos import FRAMES, HEIGHT, RATE, WIDTH
from tiny_runs import optional_package

from data.inference.decoding import frames_in_order, image_of
from util.images import BY_TYPE
from util.results.video_writer import VideoWriter
from util.video_files import open_video

IMAGES = [picture(number, WIDTH, HEIGHT) for number in range(FRAMES)]


def encode(path: Path, codec: str = "mpeg4", cut_packet: int | None = None, **context: Any) -> Path:
    """Write the images as a video, one packet of which may be cut; return its path.

    `context` are attributes of its codec context.
    """
    av = optional_package("av")
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for attribute, value in context.items():
            setattr(video.codec_context, attribute, value)
        packets = [p for image in IMAGES for p in video.encode(av.VideoFrame.from_image(image))]
        for number, packet in enumerate([*packets, *video.encode(None)]):
            if number == cut_packet:
                half = av.Packet(bytes(packet)[: packet.size // 2])
                half.pts, half.dts, half.stream = packet.pts, packet.dts, video
                half.time_base = packet.time_base
                packet = half
            container.mux(packet)
    return path


def copied(source: Path, images: Sequence[Image.Image] = IMAGES, **how: Any) -> Path:
    """Write a video of the images with the sound and the appearance of another; return its path."""
    path = source.parent / "copied" / source.name
    writer = VideoWriter(source, path, **how)
    with optional_package("av").open(str(source)) as container:
        step = round(1 / RATE / container.streams.video[0].time_base)
    for number, image in enumerate(images):
        writer.add(image, number * step)
    writer.close()
    return path


def first_image(path: Path) -> Image.Image:
    with open_video(path) as container:
        return image_of(next(frames_in_order(container)), path, BY_TYPE)


def turn(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write the matrix of the header of the track in an MP4 file, which is how it is shown."""
    content = bytearray(path.read_bytes())
    units = (unit << 16 for unit in (a, b, 0, c, d, 0, 0, 0, 1 << 14))
    struct.pack_into(">9i", content, content.index(b"tkhd") + 44, *units)
    path.write_bytes(content)

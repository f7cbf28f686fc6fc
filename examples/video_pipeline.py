"""A pipeline of processes for video frames: numpy arrays in shared memory that nobody copies.

A camera fills frames in place, a filter brightens them into frames of the next channel, and this
process measures what arrives. Run it: python examples/video_pipeline.py [FRAMES]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from exo_um.std import Channel, channel, spawn

HEIGHT, WIDTH = 480, 640


@dataclass
class Frame:
    """A picture, and which one it is."""

    number: int
    pixels: np.ndarray


def camera(out: Channel[Frame], count: int) -> None:
    """Make frames, each in a block of the channel that takes it on."""
    for number in range(count):
        pixels = out.allocate((HEIGHT, WIDTH), np.uint8)
        pixels[:] = number % 200
        out.send(Frame(number, pixels))
    out.close()


def brighten(frames: Channel[Frame], out: Channel[Frame]) -> int:
    """Add 50 to each pixel; return how many bytes were copied on their way."""
    for frame in frames:
        pixels = out.allocate(frame.pixels.shape, frame.pixels.dtype)
        np.add(frame.pixels, 50, out=pixels)
        out.send(Frame(frame.number, pixels))
    out.close()
    return frames.memory.copied + out.memory.copied


def main() -> None:
    """Run the pipeline."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    raw, bright = channel[Frame](64), channel[Frame](64)
    filming = spawn(camera, raw, count)
    filtering = spawn(brighten, raw, bright)
    mean = 0.0
    for expected, frame in enumerate(bright):
        assert frame.number == expected
        mean += float(frame.pixels.mean()) / count
    filming.join()
    print(f"{count} frames, mean brightness {mean:.1f}, {filtering.join()} bytes copied")


if __name__ == "__main__":
    main()

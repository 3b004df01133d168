"""The sound of a video, copied as it is stored into another."""

from collections.abc import Iterator
from typing import Any


class SoundCopy:
    """Copies the sound tracks of one container into another, packet by packet."""

    def __init__(self, source: Any, output: Any) -> None:
        self._output = output
        self._tracks = {
            track.index: output.add_stream_from_template(track) for track in source.streams.audio
        }
        self._packets: Iterator[Any] = iter(source.demux(*source.streams.audio))
        self._waiting = next(self._packets, None) if self._tracks else None

    def copy(self, until: float) -> None:
        """Copy the packets that begin before `until` seconds."""
        while (packet := self._waiting) is not None:
            if packet.dts is not None:
                if float(packet.dts * packet.time_base) >= until:
                    return
                packet.stream = self._tracks[packet.stream.index]
                self._output.mux(packet)
            self._waiting = next(self._packets, None)

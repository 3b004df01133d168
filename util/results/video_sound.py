"""The sound of a video, copied as it is stored into another."""

import logging
from collections.abc import Iterator
from typing import Any

log = logging.getLogger(__name__)


class SoundCopy:
    """Copies the sound tracks of one container into another, packet by packet.

    Packets that do not come later than the one before them in their track, which containers
    refuse, are left out with a warning.
    """

    def __init__(self, source: Any, output: Any) -> None:
        self._source, self._output = source, output
        self._tracks = {
            track.index: output.add_stream_from_template(track) for track in source.streams.audio
        }
        self._packets: Iterator[Any] = iter(source.demux(*source.streams.audio))
        self._waiting = next(self._packets, None) if self._tracks else None
        self._last: dict[int, int] = {}
        self._told = False

    def copy(self, until: float) -> None:
        """Copy the packets that begin before `until` seconds."""
        while (packet := self._waiting) is not None:
            if packet.dts is not None:
                if float(packet.dts * packet.time_base) >= until:
                    return
                self._copy_packet(packet)
            self._waiting = next(self._packets, None)

    def _copy_packet(self, packet: Any) -> None:
        track, last = packet.stream.index, self._last.get(packet.stream.index)
        if last is None or packet.dts > last:
            self._last[track] = packet.dts
            packet.stream = self._tracks[track]
            self._output.mux(packet)
        elif not self._told:
            self._told = True
            log.warning(
                "the times of the sound in %s go back: the pieces of sound there are left out",
                self._source.name,
            )

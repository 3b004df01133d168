"""The sound of a video, copied as it is stored into another."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from ..video_files import import_av

log = logging.getLogger(__name__)


class SoundCopy:
    """Copies sound tracks of one container into another, packet by packet.

    Packets that do not come later than the one before them in their track, which containers
    refuse, are left out with a warning, and so are tracks that the output cannot hold.
    """

    def __init__(self, source: Any, tracks: Sequence[Any], output: Any) -> None:
        self._source, self._output = source, output
        self._tracks = {track.index: self._added(track) for track in tracks}
        taken = [track for track in tracks if self._tracks[track.index] is not None]
        self._packets: Iterator[Any] = iter(source.demux(*taken) if taken else ())
        self._waiting = next(self._packets, None)
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

    def _added(self, track: Any) -> Any:
        """Return a new track of the output like one of the source, None where it cannot be."""
        try:
            if track.codec_context is None:  # older versions of PyAV crash
                raise ValueError("FFmpeg does not know its codec")
            return self._output.add_stream_from_template(track)
        except (OSError, ValueError, import_av().error.FFmpegError) as error:
            log.warning(
                "stream %d of %s, which is sound, is left out (%s): copy it with another program",
                *(track.index, self._source.name, error),
            )
            return None

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

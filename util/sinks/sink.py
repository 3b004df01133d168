"""The interface of sinks."""

from ..records import LossRecord, PictureRecord


class Sink:
    """Takes records; what a sink has no use for it leaves alone."""

    def losses(self, record: LossRecord) -> None:
        """The losses of a step."""

    def pictures(self, record: PictureRecord) -> None:
        """The pictures of a step."""

    def close(self) -> None:
        """The run has ended."""

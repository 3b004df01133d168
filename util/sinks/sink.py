"""The interface of sinks."""

from ..records import LossRecord, PictureRecord, SampleRecord


class Sink:
    """Takes records; what a sink has no use for it leaves alone."""

    def open(self) -> None:
        """Get ready: import the package, connect. Called once, before the first record."""

    def losses(self, record: LossRecord) -> None:
        """The losses of a step."""

    def pictures(self, record: PictureRecord) -> None:
        """The pictures of a step."""

    def samples(self, record: SampleRecord) -> None:
        """The fixed pictures, translated."""

    def saved(self) -> None:
        """The weights were just saved."""

    def flush(self) -> None:
        """Pass on what was taken; `Background` calls it after its records, and when idle."""

    def close(self) -> None:
        """The run has ended."""

"""The program of the visdom server that a training starts.

It takes visdom's own flags (--help), downloads nothing at its start, imports neither PyTorch nor
openTSNE, takes no other port than the one asked for, as visdom 0.3 does where that is taken, and
works with tornado 6.6 and later, with which visdom 0.2.4 answers its own page with 403.
"""

import errno
import sys
from collections.abc import Callable
from typing import Any


def serve() -> None:
    """Run the server until it is stopped."""
    blocked: dict[str, Any] = {"torch": None, "openTSNE": None}
    sys.modules.update(blocked)  # visdom imports them without need, which takes 400 MB
    from tornado import netutil
    from tornado.web import StaticFileHandler
    from visdom.server.app import tornado_settings
    from visdom.server.run_server import main

    class PlainAddresses(StaticFileHandler):
        """Makes addresses of static files without the hash of their content.

        visdom asks for the address of `../user/style.css`, which does not exist; tornado 6.6
        refuses to hash it.
        """

        @classmethod
        def make_static_url(
            cls, settings: dict[str, Any], path: str, include_version: bool = False
        ) -> str:
            """Return `/static/<path>`."""
            return super().make_static_url(settings, path, include_version=False)

    tornado_settings["static_handler_class"] = PlainAddresses
    netutil.bind_sockets = _only_on_the_port(netutil.bind_sockets)
    try:
        main()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        sys.exit("error: a program uses this port, perhaps another dashboard: choose one by -port")


def _only_on_the_port(bind_sockets: Callable[..., Any]) -> Callable[..., Any]:
    def bind(port: int, *args: Any, **settings: Any) -> Any:
        if port == 0:  # a free one, which no training would find
            raise OSError(errno.EADDRINUSE, "the port is taken")
        return bind_sockets(port, *args, **settings)

    return bind


if __name__ == "__main__":
    serve()

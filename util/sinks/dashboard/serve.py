"""The visdom server as training starts it: this file is its program.

Takes visdom's own flags (--help). It downloads nothing at start, needs no PyTorch, and works with
tornado 6.6 and later, for which visdom 0.2.4 answers its own page with 403.
"""

import sys
from typing import Any


def serve() -> None:
    """Run the server until it is stopped."""
    blocked: dict[str, Any] = {"torch": None}
    sys.modules.update(blocked)  # visdom would import it: 400 MB of memory for nothing
    from tornado.web import StaticFileHandler
    from visdom.server.app import tornado_settings
    from visdom.server.run_server import main

    class PlainAddresses(StaticFileHandler):
        """Addresses of static files without the hash of the file behind them.

        visdom asks for the address of `../user/style.css`, which is no file; tornado 6.6 refuses
        to make its hash.
        """

        @classmethod
        def make_static_url(
            cls, settings: dict[str, Any], path: str, include_version: bool = False
        ) -> str:
            """`/static/<path>`."""
            return super().make_static_url(settings, path, include_version=False)

    tornado_settings["static_handler_class"] = PlainAddresses
    main()


if __name__ == "__main__":
    serve()

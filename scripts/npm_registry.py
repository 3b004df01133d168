"""Fetches packages from the npm registry with the standard library, and checks their hashes."""

import base64
import hashlib
import json
import os
import re
import urllib.request
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote, urljoin

DEFAULT = "https://registry.npmjs.org"
TIMEOUT = 30.0
"""Seconds without an answer."""
METADATA = "application/vnd.npm.install-v1+json, application/json"


def configured_registry() -> str:
    """Return the registry of npm's settings: its variable, .npmrc here or at home, the default."""
    for name, value in os.environ.items():
        if name.lower() == "npm_config_registry" and value:
            return value
    for file in (Path(".npmrc"), Path.home() / ".npmrc"):
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        if match := re.search(r"^\s*registry\s*=\s*[\"']?([^\s\"']+)", text, flags=re.MULTILINE):
            return match[1]
    return DEFAULT


def archive_name(package: str) -> str:
    """Return the name that `npm pack` gives to name@version: `@a/b@1.0` is `a-b-1.0.tgz`."""
    return f"{package.replace('@', '-').lstrip('-').replace('/', '-')}.tgz"


class Registry:
    """An npm registry. Methods raise ValueError, naming the address, where a request fails."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")

    def fetch(self, package: str, folder: Path) -> Path:
        """Write the archive of name@version to a folder; return its path.

        Raises ValueError too where its SHA-512 is not the one that the registry states.
        """
        name, _, version = package.rpartition("@")
        where = f"{self.address}/{quote(name, safe='@')}"
        description = _read(where, METADATA)
        try:
            distribution = json.loads(description)["versions"][version]["dist"]
            address = urljoin(where, distribution["tarball"])
            stated = distribution["integrity"].split()
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"{where} does not describe version {version} ({error!r})") from error
        content = _read(address)
        digest = base64.b64encode(hashlib.sha512(content).digest()).decode()
        if f"sha512-{digest}" not in stated:
            raise ValueError(f"{address} is not what the registry states (SHA-512 differs)")
        path = folder / archive_name(package)
        path.write_bytes(content)
        return path


def _read(address: str, accept: str = "*/*") -> bytes:
    if not address.startswith(("https://", "http://")):
        raise ValueError(f"{address} is no address of an npm registry")
    request = urllib.request.Request(address, headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return bytes(answer.read())
    except (OSError, HTTPException, ValueError) as error:
        raise ValueError(f"cannot fetch {address} ({error})") from error

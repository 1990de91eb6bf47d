"""Confab below the path /chat of a host with https, behind nginx in each way that is documented."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_port, gunicorn
from tests.services import certificate, documented_location, nginx_with

PATH_KEPT = "the proxy leaves the path"
PATH_REMOVED = "the proxy removes the path"
PATH_IN_HEADER = "the proxy removes the path and names it in a header"
STYLES = (PATH_KEPT, PATH_REMOVED, PATH_IN_HEADER)


@contextmanager
def sites_below_a_path(folder: Path) -> Iterator[dict[str, str]]:
    """Run a site for each style; yield their URLs, without a slash at the end.

    The first two are the same server, which has two workers and the setting BASE_PATH.
    """
    certificate_path, key_path = certificate(folder)
    with (
        gunicorn(folder / "set", workers=2, BASE_PATH="/chat") as with_setting,
        gunicorn(folder / "unset") as without_setting,
    ):
        header = "location /chat/ {\n    proxy_set_header X-Forwarded-Prefix /chat;"
        locations = {
            PATH_KEPT: documented_location(with_setting.url, "/chat/"),
            PATH_REMOVED: documented_location(f"{with_setting.url}/", "/chat/"),
            PATH_IN_HEADER: documented_location(f"{without_setting.url}/", "/chat/").replace(
                "location /chat/ {", header
            ),
        }
        ports = {style: free_port() for style in STYLES}
        servers = "\n".join(
            f"server {{ listen 127.0.0.1:{ports[style]} ssl; ssl_certificate {certificate_path};"
            f" ssl_certificate_key {key_path}; {location} }}"
            for style, location in locations.items()
        )
        with nginx_with(folder / "nginx", ports[PATH_KEPT], servers):
            yield {style: f"https://127.0.0.1:{port}/chat" for style, port in ports.items()}

"""Of the request with which a connection began, little is kept."""

from chat.engine.environ import forget_cookie, reduced

LONG = "v" * 8000

ENVIRON = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/socket.io/",
    "QUERY_STRING": "EIO=4&transport=websocket",
    "HTTP_HOST": "confab.test",
    "HTTP_COOKIE": "confab=signed",
    "REMOTE_ADDR": "127.0.0.1",
    "HTTP_X_1": LONG,
    "HTTP_USER_AGENT": LONG,
    "wsgi.url_scheme": "http",
    "wsgi.input": object(),
    "gunicorn.socket": object(),
    "flask.app": object(),
    "confab.client": "192.0.2.1",
}


def test_headers_and_objects_of_the_server_are_not_kept() -> None:
    assert set(reduced(ENVIRON)) == {
        "HTTP_COOKIE",
        "HTTP_HOST",
        "PATH_INFO",
        "REMOTE_ADDR",
        "REQUEST_METHOD",
        "confab.client",
        "flask.app",
        "wsgi.url_scheme",
    }


def test_long_values_are_not_kept() -> None:
    long_values = dict.fromkeys(("PATH_INFO", "HTTP_HOST", "SCRIPT_NAME", "confab.client"), LONG)

    assert set(reduced(long_values)) == set()


def test_the_cookie_is_kept_until_the_session_has_been_read_from_it() -> None:
    kept = reduced(ENVIRON)

    forget_cookie(kept)
    assert kept["HTTP_COOKIE"] == "confab=signed"

    kept["saved_session"] = {}
    forget_cookie(kept)
    assert "HTTP_COOKIE" not in kept

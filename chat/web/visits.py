"""Which requests are visits of a person: only a visit creates a room.

Browsers fetch pages that nobody may ever look at, and chat programs fetch each link that somebody
posts, to show a preview.
"""

import re

from werkzeug.wrappers import Request

LINK_PREVIEW_BOTS = (
    "applebot",
    "bingbot",
    "bingpreview",
    "bitlybot",
    "bluesky cardyb",
    "discordbot",
    "duckduckbot",
    "embedly",
    "facebookexternalhit",
    "facebot",
    "google-inspectiontool",
    "google-pagerenderer",
    "googlebot",
    "iframely",
    "ilinkpreview",
    "linkedinbot",
    "mastodon/",
    "mattermost-bot",
    "meta-externalagent",
    "meta-externalfetcher",
    "microsoftpreview",
    "pinterestbot",
    "pleroma ",
    "redditbot",
    "skypeuripreview",
    "slack-imgproxy",
    "slackbot",
    "snap url preview",
    "synapse (bot",
    "telegrambot",
    "twitterbot",
    "vkshare",
    "whatsapp/",
    "yandexbot",
    "zoombot",
    "zulipurlpreview",
)
"""Parts of the User-Agent, in lower case, of programs that fetch links to show or index them.

Only names that no browser has, not even one inside the app of the same company.
"""

BOT_PATTERN = re.compile("|".join(map(re.escape, LINK_PREVIEW_BOTS)))
PREFETCH_HEADERS = ("Purpose", "Sec-Purpose")


def is_visit(request: Request) -> bool:
    """Return whether a person asks for a page: not HEAD, a prefetch or a link preview."""
    return request.method != "HEAD" and not _is_prefetch(request) and not is_link_preview(request)


def is_navigation(request: Request) -> bool:
    """Return whether the response is shown as a page of its own, as far as the browser tells.

    A page of another site can load any address as an image or in a frame.
    """
    return request.headers.get("Sec-Fetch-Dest", "document") == "document"


def _is_prefetch(request: Request) -> bool:
    return any("prefetch" in request.headers.get(name, "").lower() for name in PREFETCH_HEADERS)


def is_link_preview(request: Request) -> bool:
    """Return whether a program asks that shows or indexes what links lead to."""
    return BOT_PATTERN.search(request.headers.get("User-Agent", "").lower()) is not None

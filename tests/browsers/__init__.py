"""The page in Chromium, Firefox and WebKit: one walkthrough, written once for all three."""

"""Text: validation, emoji and Markdown."""

"""What a page complains about."""

from __future__ import annotations


def watched(page) -> list[str]:
    """A list that grows: errors on the console, and exceptions that nobody caught."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints

"""What the chapters and the build of the book share: charts, self-checks and the stored runs."""

from .exercises import Check

__all__ = ["Check"]

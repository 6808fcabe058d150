"""Recordings on disk: what is in them (`layout`), how they are written (`writer`) and read (`open_trace`), without torch."""

from zvr_core.trace.reader import Missing
from zvr_core.trace.trace import Trace, TraceSite, open_trace

__all__ = ["Missing", "Trace", "TraceSite", "open_trace"]

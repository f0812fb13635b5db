"""The broker: who has credit, who waits, who is alive. It never imports imgaug nor looks into a batch."""

from __future__ import annotations

from .core import Core
from .events import Action, Event

__all__ = ["Action", "Core", "Event"]

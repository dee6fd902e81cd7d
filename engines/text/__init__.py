"""English text on its way to the voice: cut into segments as it arrives, then written as words."""

from engines.text.normalize import normalize
from engines.text.segment import Segment, Segmenter

__all__ = ["Segment", "Segmenter", "normalize"]

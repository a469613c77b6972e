"""The graph that every bundle holds; it lives with the networks, whose engines run it too."""

from __future__ import annotations

from crossfuse_training.fusion_graph import BLUE, GREEN, RED, FusionGraph, recolour

__all__ = ["BLUE", "GREEN", "RED", "FusionGraph", "recolour"]

"""Figures, counted where they arise and read when somebody asks."""

from taskmill.metrics.histogram import QUICK, Histogram

__all__ = ["QUICK", "Histogram"]

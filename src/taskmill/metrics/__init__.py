"""Figures, counted where they arise and read when somebody asks."""

from taskmill.metrics.histogram import QUICK, Histogram, Timings

__all__ = ["QUICK", "Histogram", "Timings"]

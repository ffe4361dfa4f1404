"""Dispatch: which task goes next, and when."""

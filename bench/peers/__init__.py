"""Programs to compare with, one a file."""

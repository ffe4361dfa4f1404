"""Steps: parts of a task whose results are kept, so that its next attempt goes on where the last one stood."""

"""Finding tasks by what stands in their data, where their actions have declared an index of it."""

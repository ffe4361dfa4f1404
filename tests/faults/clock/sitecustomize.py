"""Lets a test set the wall clock of a server while it runs: `time.time` is put forward or back by what a file says.

Python imports this by itself where its folder stands in PYTHONPATH. The file holds one float, in seconds.
"""

import mmap
import os
import struct
import time

if path := os.environ.get("CLOCK_OFFSET"):
    with open(path, "r+b") as file:
        offset = mmap.mmap(file.fileno(), 8)
    real = time.time
    time.time = lambda: real() + struct.unpack("d", offset[:8])[0]

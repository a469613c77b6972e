"""The CrossFuse gRPC service."""

from __future__ import annotations

import os

# 16384x16384; the message with two such pictures stays under the 2 GiB that gRPC can take.
LARGEST_MAX_PIXELS = 2**28

# OpenCV reads its limit when it is imported, which importing the rest of this package does. Headers
# are checked before it gets to see a picture; this is for one that says two things about its size.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(LARGEST_MAX_PIXELS))

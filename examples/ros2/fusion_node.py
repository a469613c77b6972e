"""A ROS 2 node that fuses the pictures of an infrared and a visible camera on a CrossFuse server.

python3 fusion_node.py --ros-args -p server:=localhost:8001 -p infrared_topic:=/thermal/image_raw
"""

from __future__ import annotations

import threading
from array import array
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import message_filters
import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

import crossfuse

BYTES_PER_PIXEL = {"mono8": 1, "mono16": 2, "rgb8": 3, "bgr8": 3}
TIMEOUT_SECONDS = 1.0
LARGEST_TIME_DIFFERENCE = 0.05


def to_array(message: Image) -> NDArray[Any]:
    """uint8 HxW (mono8), uint16 HxW (mono16) or uint8 HxWx3 RGB (rgb8, bgr8)."""
    if message.encoding not in BYTES_PER_PIXEL:
        raise crossfuse.errors.UnknownName("encoding", message.encoding, BYTES_PER_PIXEL)
    # `step` is the length of a row in memory, which may be padded.
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
    pixels = rows[:, : message.width * BYTES_PER_PIXEL[message.encoding]]
    if message.encoding == "mono8":
        return pixels
    if message.encoding == "mono16":
        return pixels.view(">u2" if message.is_bigendian else "<u2").astype(np.uint16)
    colour = pixels.reshape(message.height, message.width, 3)
    return colour if message.encoding == "rgb8" else colour[..., ::-1]


def to_message(pixels: NDArray[np.uint8], like: Image) -> Image:
    """uint8 HxW or HxWx3 RGB as a message with the time stamp and the frame of another one."""
    height, width = pixels.shape[:2]
    message = Image(header=like.header, height=height, width=width)
    message.encoding = "mono8" if pixels.ndim == 2 else "rgb8"
    message.step = width * BYTES_PER_PIXEL[message.encoding]
    message.data = array("B", pixels.tobytes())  # rclpy checks bytes one by one, an array at once
    return message


class FusionNode(Node):
    """Publishes the fused pictures; drops the pairs that come while one is being fused."""

    def __init__(self) -> None:
        super().__init__("crossfuse")
        server = self.declare_parameter("server", "localhost:8001").value
        infrared = self.declare_parameter("infrared_topic", "infrared/image_raw").value
        visible = self.declare_parameter("visible_topic", "visible/image_raw").value
        fused = self.declare_parameter("fused_topic", "fused/image_raw").value
        # For mono16. Fixed limits, like linear:29000:31000, keep the brightness steady.
        self._ir_mapping = self.declare_parameter("ir_mapping", "percentile:1:99").value

        self._client = crossfuse.FusionClient(server)
        self._worker = ThreadPoolExecutor(1)
        self._busy = threading.Lock()
        self._publisher = self.create_publisher(Image, fused, 1)
        cameras = [
            message_filters.Subscriber(self, Image, topic, qos_profile=qos_profile_sensor_data)
            for topic in (infrared, visible)
        ]
        self._pairs = message_filters.ApproximateTimeSynchronizer(
            cameras, queue_size=5, slop=LARGEST_TIME_DIFFERENCE
        )
        self._pairs.registerCallback(self._on_pair)

    def _on_pair(self, ir: Image, vis: Image) -> None:
        if self._busy.acquire(blocking=False):
            self._worker.submit(self._fuse, ir, vis)

    def _fuse(self, ir: Image, vis: Image) -> None:
        try:
            fused = self._client.fuse(
                to_array(ir), to_array(vis), timeout=TIMEOUT_SECONDS, ir_mapping=self._ir_mapping
            )
            self._publisher.publish(to_message(fused, like=vis))
        except Exception as error:  # one bad pair, or a server that is away, must not end the node
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
        finally:
            self._busy.release()

    def destroy_node(self) -> None:
        """Finish the pair in hand, then let go of the server."""
        self._worker.shutdown()
        self._client.close()
        super().destroy_node()


def main() -> None:
    """Run until the node is told to stop."""
    rclpy.init()
    node = FusionNode()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()

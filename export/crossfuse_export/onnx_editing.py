"""Changing an ONNX graph: copies, other nodes, and nothing in the file that no runtime reads."""

from __future__ import annotations

from collections.abc import Iterable

import onnx


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that shares nothing with the model."""
    return onnx.ModelProto.FromString(model.SerializeToString())


def copied_node(node: onnx.NodeProto) -> onnx.NodeProto:
    """A copy of a node, which stays whole when its graph's nodes are replaced."""
    return onnx.NodeProto.FromString(node.SerializeToString())


def replace_nodes(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Give the model these nodes, of which some may be its own, instead of those that it has."""
    kept = [copied_node(node) for node in nodes]
    model.graph.ClearField("node")
    model.graph.node.extend(kept)


def drop_notes(model: onnx.ModelProto) -> None:
    """Drop shapes of inner values, which every reader infers, and notes with paths of a machine."""
    model.graph.ClearField("value_info")
    for part in (model, model.graph, *model.graph.node):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")

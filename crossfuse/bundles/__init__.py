"""Model bundles: `NAME/VERSION/` folders with a manifest and one ONNX file per precision."""

from crossfuse.bundles.manifest import (
    GRAPH_INPUTS,
    GRAPH_OUTPUTS,
    PRECISIONS,
    BundleFile,
    DataSource,
    FileQuality,
    Manifest,
    Precision,
    Quality,
    TensorSpec,
    Training,
)
from crossfuse.bundles.store import (
    DEFAULT_MODEL,
    BrokenBundle,
    Bundle,
    ModelFile,
    find_bundle,
    installed_bundles,
    resolve_model,
    search_path,
)

__all__ = [
    "DEFAULT_MODEL",
    "GRAPH_INPUTS",
    "GRAPH_OUTPUTS",
    "PRECISIONS",
    "BrokenBundle",
    "Bundle",
    "BundleFile",
    "DataSource",
    "FileQuality",
    "Manifest",
    "ModelFile",
    "Precision",
    "Quality",
    "TensorSpec",
    "Training",
    "find_bundle",
    "installed_bundles",
    "resolve_model",
    "search_path",
]

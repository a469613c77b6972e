from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATA_TYPE_UNSPECIFIED: _ClassVar[DataType]
    DATA_TYPE_UINT8: _ClassVar[DataType]
    DATA_TYPE_UINT16: _ClassVar[DataType]

class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENCODING_UNSPECIFIED: _ClassVar[Encoding]
    ENCODING_RAW: _ClassVar[Encoding]
    ENCODING_PNG: _ClassVar[Encoding]
    ENCODING_JPEG: _ClassVar[Encoding]
    ENCODING_WEBP: _ClassVar[Encoding]

class ColorSpace(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLOR_SPACE_UNSPECIFIED: _ClassVar[ColorSpace]
    COLOR_SPACE_GRAY: _ClassVar[ColorSpace]
    COLOR_SPACE_RGB: _ClassVar[ColorSpace]
    COLOR_SPACE_BGR: _ClassVar[ColorSpace]

class OutputColor(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTPUT_COLOR_UNSPECIFIED: _ClassVar[OutputColor]
    OUTPUT_COLOR_AUTO: _ClassVar[OutputColor]
    OUTPUT_COLOR_GRAY: _ClassVar[OutputColor]
    OUTPUT_COLOR_COLOR: _ClassVar[OutputColor]

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    PRIORITY_LOW: _ClassVar[Priority]
    PRIORITY_NORMAL: _ClassVar[Priority]
    PRIORITY_HIGH: _ClassVar[Priority]

class DropPolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DROP_POLICY_UNSPECIFIED: _ClassVar[DropPolicy]
    DROP_POLICY_NONE: _ClassVar[DropPolicy]
    DROP_POLICY_OLDEST: _ClassVar[DropPolicy]

class DropReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DROP_REASON_UNSPECIFIED: _ClassVar[DropReason]
    DROP_REASON_OVERRUN: _ClassVar[DropReason]
    DROP_REASON_DEADLINE: _ClassVar[DropReason]

class ServingState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SERVING_STATE_UNSPECIFIED: _ClassVar[ServingState]
    SERVING_STATE_LOADING: _ClassVar[ServingState]
    SERVING_STATE_SERVING: _ClassVar[ServingState]
    SERVING_STATE_DRAINING: _ClassVar[ServingState]
    SERVING_STATE_FAILED: _ClassVar[ServingState]
DATA_TYPE_UNSPECIFIED: DataType
DATA_TYPE_UINT8: DataType
DATA_TYPE_UINT16: DataType
ENCODING_UNSPECIFIED: Encoding
ENCODING_RAW: Encoding
ENCODING_PNG: Encoding
ENCODING_JPEG: Encoding
ENCODING_WEBP: Encoding
COLOR_SPACE_UNSPECIFIED: ColorSpace
COLOR_SPACE_GRAY: ColorSpace
COLOR_SPACE_RGB: ColorSpace
COLOR_SPACE_BGR: ColorSpace
OUTPUT_COLOR_UNSPECIFIED: OutputColor
OUTPUT_COLOR_AUTO: OutputColor
OUTPUT_COLOR_GRAY: OutputColor
OUTPUT_COLOR_COLOR: OutputColor
PRIORITY_UNSPECIFIED: Priority
PRIORITY_LOW: Priority
PRIORITY_NORMAL: Priority
PRIORITY_HIGH: Priority
DROP_POLICY_UNSPECIFIED: DropPolicy
DROP_POLICY_NONE: DropPolicy
DROP_POLICY_OLDEST: DropPolicy
DROP_REASON_UNSPECIFIED: DropReason
DROP_REASON_OVERRUN: DropReason
DROP_REASON_DEADLINE: DropReason
SERVING_STATE_UNSPECIFIED: ServingState
SERVING_STATE_LOADING: ServingState
SERVING_STATE_SERVING: ServingState
SERVING_STATE_DRAINING: ServingState
SERVING_STATE_FAILED: ServingState

class Image(_message.Message):
    __slots__ = ("width", "height", "channels", "dtype", "encoding", "color_space", "data")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    COLOR_SPACE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    channels: int
    dtype: DataType
    encoding: Encoding
    color_space: ColorSpace
    data: bytes
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ..., channels: _Optional[int] = ..., dtype: _Optional[_Union[DataType, str]] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., color_space: _Optional[_Union[ColorSpace, str]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ModelRef(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class IrMapping(_message.Message):
    __slots__ = ("linear", "percentile", "none", "black_hot")
    class Linear(_message.Message):
        __slots__ = ("low", "high")
        LOW_FIELD_NUMBER: _ClassVar[int]
        HIGH_FIELD_NUMBER: _ClassVar[int]
        low: int
        high: int
        def __init__(self, low: _Optional[int] = ..., high: _Optional[int] = ...) -> None: ...
    class Percentile(_message.Message):
        __slots__ = ("low", "high")
        LOW_FIELD_NUMBER: _ClassVar[int]
        HIGH_FIELD_NUMBER: _ClassVar[int]
        low: float
        high: float
        def __init__(self, low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...
    class Refuse(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    LINEAR_FIELD_NUMBER: _ClassVar[int]
    PERCENTILE_FIELD_NUMBER: _ClassVar[int]
    NONE_FIELD_NUMBER: _ClassVar[int]
    BLACK_HOT_FIELD_NUMBER: _ClassVar[int]
    linear: IrMapping.Linear
    percentile: IrMapping.Percentile
    none: IrMapping.Refuse
    black_hot: bool
    def __init__(self, linear: _Optional[_Union[IrMapping.Linear, _Mapping]] = ..., percentile: _Optional[_Union[IrMapping.Percentile, _Mapping]] = ..., none: _Optional[_Union[IrMapping.Refuse, _Mapping]] = ..., black_hot: bool = ...) -> None: ...

class FuseOptions(_message.Message):
    __slots__ = ("output_encoding", "quality", "output_color", "ir_mapping", "homography", "priority")
    OUTPUT_ENCODING_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_COLOR_FIELD_NUMBER: _ClassVar[int]
    IR_MAPPING_FIELD_NUMBER: _ClassVar[int]
    HOMOGRAPHY_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    output_encoding: Encoding
    quality: int
    output_color: OutputColor
    ir_mapping: IrMapping
    homography: _containers.RepeatedScalarFieldContainer[float]
    priority: Priority
    def __init__(self, output_encoding: _Optional[_Union[Encoding, str]] = ..., quality: _Optional[int] = ..., output_color: _Optional[_Union[OutputColor, str]] = ..., ir_mapping: _Optional[_Union[IrMapping, _Mapping]] = ..., homography: _Optional[_Iterable[float]] = ..., priority: _Optional[_Union[Priority, str]] = ...) -> None: ...

class FuseRequest(_message.Message):
    __slots__ = ("request_id", "model", "ir", "vis", "options")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IR_FIELD_NUMBER: _ClassVar[int]
    VIS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    model: ModelRef
    ir: Image
    vis: Image
    options: FuseOptions
    def __init__(self, request_id: _Optional[str] = ..., model: _Optional[_Union[ModelRef, _Mapping]] = ..., ir: _Optional[_Union[Image, _Mapping]] = ..., vis: _Optional[_Union[Image, _Mapping]] = ..., options: _Optional[_Union[FuseOptions, _Mapping]] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("decode_us", "queue_us", "infer_us", "encode_us", "total_us", "batch_size")
    DECODE_US_FIELD_NUMBER: _ClassVar[int]
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    INFER_US_FIELD_NUMBER: _ClassVar[int]
    ENCODE_US_FIELD_NUMBER: _ClassVar[int]
    TOTAL_US_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    decode_us: int
    queue_us: int
    infer_us: int
    encode_us: int
    total_us: int
    batch_size: int
    def __init__(self, decode_us: _Optional[int] = ..., queue_us: _Optional[int] = ..., infer_us: _Optional[int] = ..., encode_us: _Optional[int] = ..., total_us: _Optional[int] = ..., batch_size: _Optional[int] = ...) -> None: ...

class FuseResponse(_message.Message):
    __slots__ = ("request_id", "fused", "model", "timings")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    FUSED_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    fused: Image
    model: ModelRef
    timings: Timings
    def __init__(self, request_id: _Optional[str] = ..., fused: _Optional[_Union[Image, _Mapping]] = ..., model: _Optional[_Union[ModelRef, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ...) -> None: ...

class StreamConfig(_message.Message):
    __slots__ = ("model", "options", "max_in_flight", "drop_policy", "frame_deadline_us")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    DROP_POLICY_FIELD_NUMBER: _ClassVar[int]
    FRAME_DEADLINE_US_FIELD_NUMBER: _ClassVar[int]
    model: ModelRef
    options: FuseOptions
    max_in_flight: int
    drop_policy: DropPolicy
    frame_deadline_us: int
    def __init__(self, model: _Optional[_Union[ModelRef, _Mapping]] = ..., options: _Optional[_Union[FuseOptions, _Mapping]] = ..., max_in_flight: _Optional[int] = ..., drop_policy: _Optional[_Union[DropPolicy, str]] = ..., frame_deadline_us: _Optional[int] = ...) -> None: ...

class StreamFrame(_message.Message):
    __slots__ = ("frame_id", "capture_time_us", "ir", "vis")
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    IR_FIELD_NUMBER: _ClassVar[int]
    VIS_FIELD_NUMBER: _ClassVar[int]
    frame_id: int
    capture_time_us: int
    ir: Image
    vis: Image
    def __init__(self, frame_id: _Optional[int] = ..., capture_time_us: _Optional[int] = ..., ir: _Optional[_Union[Image, _Mapping]] = ..., vis: _Optional[_Union[Image, _Mapping]] = ...) -> None: ...

class FuseStreamRequest(_message.Message):
    __slots__ = ("config", "frame")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    config: StreamConfig
    frame: StreamFrame
    def __init__(self, config: _Optional[_Union[StreamConfig, _Mapping]] = ..., frame: _Optional[_Union[StreamFrame, _Mapping]] = ...) -> None: ...

class FusedFrame(_message.Message):
    __slots__ = ("image", "model", "timings")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    image: Image
    model: ModelRef
    timings: Timings
    def __init__(self, image: _Optional[_Union[Image, _Mapping]] = ..., model: _Optional[_Union[ModelRef, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ...) -> None: ...

class FrameDropped(_message.Message):
    __slots__ = ("reason", "message")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    reason: DropReason
    message: str
    def __init__(self, reason: _Optional[_Union[DropReason, str]] = ..., message: _Optional[str] = ...) -> None: ...

class FrameError(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class FuseStreamResponse(_message.Message):
    __slots__ = ("frame_id", "capture_time_us", "fused", "dropped", "error")
    FRAME_ID_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    FUSED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    frame_id: int
    capture_time_us: int
    fused: FusedFrame
    dropped: FrameDropped
    error: FrameError
    def __init__(self, frame_id: _Optional[int] = ..., capture_time_us: _Optional[int] = ..., fused: _Optional[_Union[FusedFrame, _Mapping]] = ..., dropped: _Optional[_Union[FrameDropped, _Mapping]] = ..., error: _Optional[_Union[FrameError, _Mapping]] = ...) -> None: ...

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServerLimits(_message.Message):
    __slots__ = ("max_pixels", "max_message_bytes", "max_queue", "max_in_flight", "max_queue_bytes")
    MAX_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUE_FIELD_NUMBER: _ClassVar[int]
    MAX_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUE_BYTES_FIELD_NUMBER: _ClassVar[int]
    max_pixels: int
    max_message_bytes: int
    max_queue: int
    max_in_flight: int
    max_queue_bytes: int
    def __init__(self, max_pixels: _Optional[int] = ..., max_message_bytes: _Optional[int] = ..., max_queue: _Optional[int] = ..., max_in_flight: _Optional[int] = ..., max_queue_bytes: _Optional[int] = ...) -> None: ...

class ModelInfo(_message.Message):
    __slots__ = ("model", "state", "message", "is_default", "architecture", "precision", "sha256", "devices", "provider", "minimum_size", "quality", "max_batch")
    class QualityEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_SIZE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_FIELD_NUMBER: _ClassVar[int]
    model: ModelRef
    state: ServingState
    message: str
    is_default: bool
    architecture: str
    precision: str
    sha256: str
    devices: _containers.RepeatedScalarFieldContainer[str]
    provider: str
    minimum_size: int
    quality: _containers.ScalarMap[str, float]
    max_batch: int
    def __init__(self, model: _Optional[_Union[ModelRef, _Mapping]] = ..., state: _Optional[_Union[ServingState, str]] = ..., message: _Optional[str] = ..., is_default: bool = ..., architecture: _Optional[str] = ..., precision: _Optional[str] = ..., sha256: _Optional[str] = ..., devices: _Optional[_Iterable[str]] = ..., provider: _Optional[str] = ..., minimum_size: _Optional[int] = ..., quality: _Optional[_Mapping[str, float]] = ..., max_batch: _Optional[int] = ...) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "state", "limits", "models", "uptime_s", "runtime", "warnings")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    UPTIME_S_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    version: str
    state: ServingState
    limits: ServerLimits
    models: _containers.RepeatedCompositeFieldContainer[ModelInfo]
    uptime_s: float
    runtime: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., state: _Optional[_Union[ServingState, str]] = ..., limits: _Optional[_Union[ServerLimits, _Mapping]] = ..., models: _Optional[_Iterable[_Union[ModelInfo, _Mapping]]] = ..., uptime_s: _Optional[float] = ..., runtime: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelInfo]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelInfo, _Mapping]]] = ...) -> None: ...

class LoadModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: ModelRef
    def __init__(self, model: _Optional[_Union[ModelRef, _Mapping]] = ...) -> None: ...

class LoadModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: ModelInfo
    def __init__(self, model: _Optional[_Union[ModelInfo, _Mapping]] = ...) -> None: ...

class UnloadModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: ModelRef
    def __init__(self, model: _Optional[_Union[ModelRef, _Mapping]] = ...) -> None: ...

class UnloadModelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReloadModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReloadModelsResponse(_message.Message):
    __slots__ = ("loaded", "unloaded", "failures")
    LOADED_FIELD_NUMBER: _ClassVar[int]
    UNLOADED_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    loaded: _containers.RepeatedCompositeFieldContainer[ModelRef]
    unloaded: _containers.RepeatedCompositeFieldContainer[ModelRef]
    failures: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, loaded: _Optional[_Iterable[_Union[ModelRef, _Mapping]]] = ..., unloaded: _Optional[_Iterable[_Union[ModelRef, _Mapping]]] = ..., failures: _Optional[_Iterable[str]] = ...) -> None: ...

"""Every option of the configuration file, with its documentation; `load` reads the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, StringConstraints

from sightd.daemon.config.delivery import Delivery
from sightd.daemon.config.login import OidcLogin, ProxyLogin
from sightd.daemon.config.onvif import Onvif, Ptz
from sightd.daemon.config.rules import EventRule
from sightd.daemon.config.section import HostName, Name, RoleName, Section
from sightd.daemon.config.snapshots import Snapshots
from sightd.daemon.config.webrtc import WebRtc
from sightd.engines.sessions.backends import DEFAULT_BACKENDS, BackendName, Precision
from sightd.plugins.api import Device, Duration, Size, Span

Deinterlace = Literal["auto", "on", "off"]


class Reconnect(Section):
    """Retry delays after a fault: `initial_delay`, then doubled at each failed attempt, up to `max_delay`."""

    initial_delay: Span = Field(0.5, description="Delay before the first retry.", examples=["500ms"])
    max_delay: Span = Field(8.0, description="Maximum delay between retries.", examples=["8s"])


class Render(Section):
    """What to draw on the frames. Each part can be switched off."""

    boxes: bool = Field(True, description="Draw a box around each object.")
    masks: bool = Field(True, description="Fill the area that each object covers, if the detector finds masks.")
    keypoints: bool = Field(True, description="Draw skeletons and joints, if the detector finds keypoints.")
    labels: bool = Field(True, description="Show the class name on each box.")
    scores: bool = Field(True, description="Show the score after the class name.")
    ids: bool = Field(True, description="Show the track number after the class name.")
    trails: bool = Field(True, description="Draw each track's recent path as a fading line.")
    trail_length: Duration = Field(2.0, description="Duration that a trail covers.", examples=["2s"])
    status: bool = Field(True, description="Show a status line with camera name, time and frame rate.")
    min_score: float = Field(0.4, ge=0, le=1, description="Do not draw detections below this score if no tracker runs.")
    colour_by: Literal["class", "track"] = Field("class", description="What the colour of a box stands for.")


class Output(Section):
    """The annotated video of a camera, encoded only while somebody watches or it is recorded."""

    encoder: Literal["auto", "x264", "nvenc"] = Field(
        "auto",
        description="H.264 encoder: x264 (CPU), nvenc (NVIDIA GPU with an encoder; required: start-up fails with "
        "exit code 3 if there is none), or auto (nvenc if available, otherwise x264).",
    )
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"] = Field(
        "ultrafast", description="x264 preset: slower presets need fewer bits and more CPU. nvenc does not use it."
    )
    crf: int = Field(
        23,
        ge=1,
        le=51,
        description="Constant rate factor: lower means better quality and more data; 18 is visually lossless.",
    )
    max_bitrate: int = Field(8000, ge=100, description="Maximum bit rate in kbit/s.")
    keyframe_interval: Duration = Field(
        2.0, description="Maximum time between key frames; a new viewer gets one immediately.", examples=["2s"]
    )
    max_height: int | None = Field(
        None, ge=64, description="Scale larger frames down to this height in lines; by default never."
    )
    jpeg_quality: int = Field(80, ge=1, le=100, description="Quality of stills and of MJPEG.")
    mjpeg_max_fps: float = Field(15.0, gt=0, description="Maximum frame rate of the MJPEG stream.")


EventPattern = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*(\.\*)?$", max_length=63)]
"""The kind of an event, or a prefix such as "zone.*"."""


class Clips(Section):
    """Clips of events, from before they happened."""

    kinds: list[EventPattern] = Field(
        [],
        description="Kinds of events that get a clip (`sightd events` lists them); a prefix with .* stands for all "
        "that begin with it. By default all, if there are rules.",
        examples=[["zone.entered", "line.*"]],
    )
    rules: list[Name] = Field(
        [], description="Only events that one of these rules of events.rules selected.", examples=[["intruder"]]
    )
    pre: Duration = Field(10.0, description="How much to record from before the event.", examples=["10s"])
    post: Duration = Field(10.0, description="How much to record from after the event.", examples=["10s"])
    max_length: Span = Field(
        60.0,
        description="Maximum length of a clip. Further events within a clip extend it up to this length.",
        examples=["60s"],
    )
    retention: Span = Field(30 * 86400.0, description="Older clips are deleted.", examples=["30d"])


class Segments(Section):
    """Recordings of whole days, or of all times with activity, as files of equal length without a gap."""

    mode: Literal["continuous", "activity"] = Field(
        "continuous", description="Record always (continuous), or only around the events of `kinds` (activity)."
    )
    kinds: list[EventPattern] = Field(
        [],
        description="Kinds of events that cause recording in the mode activity. In both modes, segments with such "
        "events are kept for `event_retention`, and others are deleted before them.",
        examples=[["zone.*"]],
    )
    rules: list[Name] = Field(
        [],
        description="Only events that one of these rules of events.rules selected, of `kinds` or, by default, of all.",
        examples=[["intruder"]],
    )
    pre: Duration = Field(
        5.0, description="In the mode activity: how much to record from before an event.", examples=["5s"]
    )
    post: Duration = Field(
        30.0, description="In the mode activity: how much to record from after an event.", examples=["30s"]
    )
    length: Span = Field(60.0, ge=5.0, description="Length of a segment; it ends at a key frame.", examples=["60s"])
    retention: Span = Field(3 * 86400.0, description="Older segments without events are deleted.", examples=["3d"])
    event_retention: Span = Field(14 * 86400.0, description="Older segments with events are deleted.", examples=["14d"])
    max_size: Size | None = Field(
        None,
        description="Maximum size of the segments of each camera; beyond this, its oldest are deleted. By default only "
        "recording.max_size applies.",
        examples=["100GB"],
    )


RecordedSource = Literal["received", "annotated"]


class Recording(Section):
    """Recordings of what the cameras send, without re-encoding (H.264 and H.265 only), without boxes and without
    redaction; or of what viewers see."""

    source: RecordedSource = Field(
        "received",
        description="What is recorded: what cameras send, as received (received), or what viewers see, with boxes and "
        "redacted, without sound (annotated). The latter works with all cameras and test patterns, and costs the CPU "
        "time of the encoder all the time.",
    )

    clips: Clips | None = Field(None, description="Record clips of events; by default none.")
    segments: Segments | None = Field(None, description="Record continuously, or during activity; by default not.")
    path: Path | None = Field(
        None, description="Folder of the recordings and their index. By default clips in the state directory."
    )
    max_size: Size = Field(
        20 * 10**9,
        description="Maximum size of all recordings; beyond this, the oldest are deleted: first segments without "
        "events, then segments with events, then clips.",
        examples=["20GB"],
    )
    min_free: Size = Field(
        500 * 10**6,
        description="Free space to leave on the disk of the recordings: if there is less, the oldest are deleted, in "
        "the same order.",
        examples=["500MB"],
    )
    max_memory: Size = Field(
        64 * 2**20,
        description="Maximum size of the packets of one camera that are kept in memory. If `pre` needs more, clips "
        "begin later.",
        examples=["64MiB"],
    )
    audio: bool = Field(
        True,
        description="Also record a camera's sound: AAC and Opus as received, G.711 as AAC. Other formats are left out.",
    )
    allow_unredacted: bool = Field(
        False,
        description="Also record cameras whose chain redacts frames, although recordings of what is received are not "
        "redacted. Otherwise that is an error.",
    )


class CameraSegments(Section):
    """What differs from recording.segments for this camera."""

    enabled: bool = Field(True, description="Whether to record segments of this camera.")
    mode: Literal["continuous", "activity"] | None = Field(None, description="As in recording.segments.")
    kinds: list[EventPattern] | None = Field(None, description="As in recording.segments.")
    rules: list[Name] | None = Field(None, description="As in recording.segments.")
    pre: Duration | None = Field(None, description="As in recording.segments.", examples=["5s"])
    post: Duration | None = Field(None, description="As in recording.segments.", examples=["30s"])
    length: Span | None = Field(None, ge=5.0, description="As in recording.segments.", examples=["60s"])
    retention: Span | None = Field(None, description="As in recording.segments.", examples=["3d"])
    event_retention: Span | None = Field(None, description="As in recording.segments.", examples=["14d"])
    max_size: Size | None = Field(None, description="As in recording.segments.", examples=["100GB"])


class CameraRecording(Section):
    """What differs from the top-level `recording` for this camera."""

    enabled: bool = Field(True, description="Whether to record this camera.")
    source: RecordedSource | None = Field(None, description="As in recording.")
    kinds: list[EventPattern] | None = Field(None, description="As in recording.clips.")
    rules: list[Name] | None = Field(None, description="As in recording.clips.")
    pre: Duration | None = Field(None, description="As in recording.clips.", examples=["10s"])
    post: Duration | None = Field(None, description="As in recording.clips.", examples=["10s"])
    max_length: Span | None = Field(None, description="As in recording.clips.", examples=["60s"])
    retention: Span | None = Field(None, description="As in recording.clips.", examples=["30d"])
    segments: CameraSegments | None = Field(None, description="What differs from recording.segments.")
    max_memory: Size | None = Field(None, description="As in recording.", examples=["64MiB"])
    audio: bool | None = Field(None, description="As in recording.")
    allow_unredacted: bool | None = Field(None, description="As in recording.")


class Camera(Section):
    """One camera: its source, its plug-ins, and its output."""

    source: SecretStr = Field(
        description="rtsp://, rtsps://, http(s):// (MJPEG, single images, HLS, MPEG-TS), the path of a file, "
        "/dev/videoN, or testpattern:// (a generated moving image). User and password can be part of "
        "the URL.",
        examples=["rtsp://user:${env:CAMERA_PASSWORD}@10.0.0.7/stream1", "/dev/video0", "testpattern://"],
    )
    enabled: bool = Field(True, description="Whether to run this camera.")
    title: str | None = Field(
        None, max_length=80, description="Name shown in the image; by default the key of the camera."
    )
    transport: Literal["tcp", "udp"] = Field("tcp", description="RTSP transport.")
    decoder: Literal["cpu", "nvdec"] = Field(
        "cpu",
        description="nvdec decodes H.264 and HEVC on an NVIDIA GPU (pip install 'sightd[gpu]'): frames stay on "
        "the GPU for its models and for drawing. Required: start-up fails with exit code 3 if nvdec "
        "is not available.",
    )
    timeout: Span = Field(
        3.0,
        description="A camera that sends nothing for this long is considered lost. A camera that sends one image "
        "per minute needs a longer timeout, such as 90s.",
        examples=["3s", "90s"],
    )
    late_after: Duration = Field(
        2.0,
        description="A live stream whose frames arrive later than this, by its own clock, is reported as late in "
        "/readyz, the metrics, the journal and the image. Its backlog is skipped, and a stream that "
        "stays late is reopened. 0 disables this.",
        examples=["2s"],
    )
    open_timeout: Span = Field(
        10.0,
        description="Timeout for opening the camera. Doubled for the second attempt and tripled from the third "
        "on, for cameras and recorders that start their stream on demand.",
        examples=["10s"],
    )
    loop: bool = Field(True, description="Restart a file when it ends.")
    deinterlace: Deinterlace = Field(
        "auto",
        description="auto deinterlaces frames that are marked as interlaced, which delays each by one frame; on "
        "deinterlaces all frames, for sources that do not mark them. nvdec ignores this option.",
    )
    poll_interval: Span = Field(
        1.0,
        description="Time between requests to an http(s):// URL that returns a single image.",
        examples=["1s", "1m"],
    )
    allowed_hosts: list[HostName] = Field(
        default_factory=list,
        description="Other hosts that redirects and playlists of an http(s):// source may refer to. The list "
        "prevents a camera from making sightd send requests into your network. User and password are "
        "not sent to these hosts. rtsp(s):// redirects to another host are never followed, so the "
        "option has no effect on them.",
        examples=[["cdn.example.com"]],
    )
    width: int | None = Field(
        None, ge=16, le=8192, description="Requested width of a /dev/video device or the test pattern."
    )
    height: int | None = Field(
        None, ge=16, le=8192, description="Requested height of a /dev/video device or the test pattern."
    )
    fps: float | None = Field(
        None, gt=0, le=240, description="Requested frame rate of a /dev/video device or the test pattern."
    )
    reconnect: Reconnect = Field(default_factory=Reconnect, description=Reconnect.__doc__)
    chain: list[Name] | None = Field(
        None, description="Plug-ins in the order in which they process a frame; by default the top-level `chain`."
    )
    render: Render | None = Field(None, description="What to draw for this camera; by default the top-level `render`.")
    output: Output | None = Field(None, description="How to encode this camera; by default the top-level `output`.")
    recording: CameraRecording | None = Field(
        None, description="What to record of this camera; by default as in the top-level `recording`."
    )
    onvif: Onvif | None = Field(None, description="The ONVIF service that moves this camera (docs/ptz.md).")
    ptz: Ptz | None = Field(None, description="How this camera moves; needs `onvif`.")


class Tls(Section):
    """A certificate and its key, PEM files."""

    certificate: Path = Field(description="PEM file with the certificate and its chain.")
    key: Path = Field(description="PEM file with the private key.")


class Credentials(Section):
    """User name and password of RTSP viewers."""

    username: str = Field(min_length=1, description="User name of the viewers.")
    password: SecretStr = Field(
        description="Password of the viewers; preferably ${env:NAME} or ${file:PATH}.",
        examples=["${file:/run/secrets/rtsp}"],
    )
    method: Literal["basic", "digest"] = Field(
        "digest", description="basic sends the password in clear text: use it only with TLS."
    )


class Rtsp(Section):
    """The RTSP server: rtsp://HOST:PORT/CAMERA."""

    enabled: bool = Field(True, description="Serve RTSP.")
    host: str = Field(
        "127.0.0.1", description="Listen address; 0.0.0.0 for all interfaces, which requires auth or access.tokens."
    )
    port: int = Field(8554, ge=0, le=65535, description="TCP port; 0 picks a free one.")
    auth: Credentials | None = Field(None, description="Require a user name and password from viewers.")
    tls: Tls | None = Field(None, description="Serve rtsps:// instead (requires glib-networking).")
    stall_timeout: Span = Field(
        10.0, description="A viewer that receives no packets for this long is disconnected.", examples=["10s"]
    )
    max_connections: int = Field(128, ge=1, description="Maximum number of connections; further ones are closed.")
    max_connections_per_address: int = Field(32, ge=1, description="Maximum number of connections per client address.")


class Token(Section):
    """An access token and its role."""

    role: RoleName = Field(
        description="view: images, state, metrics and events; operate: also faces; admin: also removes and "
        "exports persons, and reloads the configuration."
    )
    token: SecretStr = Field(
        min_length=20,
        description="The token; generate one with `sightd token`. Preferably ${file:PATH} or ${env:NAME}.",
        examples=["${file:/run/credentials/sightd.service/wall-token}"],
    )


class Access(Section):
    """Access over HTTP and RTSP. Without tokens and other logins, only clients on this machine have access."""

    tokens: dict[Name, Token] = Field(
        default_factory=dict,
        description="Tokens by name. Over HTTP, send Authorization: Bearer TOKEN, or name and token as user and "
        "password; over RTSP, name and token as user and password.",
    )
    proxy: ProxyLogin | None = Field(None, description=ProxyLogin.__doc__)
    oidc: OidcLogin | None = Field(None, description=OidcLogin.__doc__)

    @property
    def over_http(self) -> bool:
        """Whether clients can identify themselves over HTTP, and so must."""
        return bool(self.tokens or self.proxy or self.oidc)


class Http(Section):
    """The web server: MJPEG, stills, metrics and health."""

    enabled: bool = Field(True, description="Serve HTTP.")
    host: str = Field(
        "127.0.0.1", description="Listen address; 0.0.0.0 for all interfaces, which requires access.tokens."
    )
    port: int = Field(8080, ge=0, le=65535, description="TCP port; 0 picks a free one.")
    tls: Tls | None = Field(None, description="Serve https:// instead.")
    proxies: list[str] = Field(
        default_factory=list,
        description="Addresses of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto headers are "
        "trusted. By default none is trusted, and all clients of a proxy count as the proxy.",
        examples=[["127.0.0.1"]],
    )
    max_viewers: int = Field(32, ge=1, description="Maximum number of MJPEG viewers; further ones get a 503 response.")
    max_connections: int = Field(256, ge=1, description="Maximum number of connections; further ones are closed.")
    max_connections_per_address: int = Field(
        24,
        ge=1,
        description=(
            "Maximum number of connections per client address; behind a proxy, all viewers share the "
            "address of the proxy."
        ),
    )


class Control(Section):
    """The Unix socket for `sightd` commands on this machine. root and the daemon's own user have the role admin,
    without a token."""

    enabled: bool = Field(True, description="Serve the API on the socket.")
    socket: Path | None = Field(
        None,
        description="Path of the socket. By default control.sock in the service's runtime directory (/run/sightd), "
        "otherwise a name derived from the configuration file's path, in $XDG_RUNTIME_DIR/sightd or /tmp/sightd-UID.",
    )
    groups: dict[Annotated[str, StringConstraints(min_length=1, max_length=64)], RoleName] = Field(
        default_factory=dict,
        description="Members of these Unix groups (name or number) get this role; all other users are refused.",
        examples=[{"operators": "operate", "adm": "view"}],
    )


class Models(Section):
    """Where model files are stored and searched for."""

    directory: Path | None = Field(
        None,
        description="Folder for downloaded models. By default $SIGHTD_CACHE_DIR/models, $CACHE_DIRECTORY/models "
        "under systemd, otherwise ~/.cache/sightd/models.",
    )
    mirror: Path | None = Field(
        None,
        description="Folder to search if no other source can be reached, for machines without internet access; "
        "by default $SIGHTD_MODEL_MIRROR.",
    )
    fetch: bool = Field(True, description="Download a missing model when the daemon starts.")
    max_download: Size = Field(2**30, description="Maximum size of a model download.", examples=["1GiB"])


class Engines(Section):
    """What runs the models. Plug-ins can override `backends`, `precision` and `device`."""

    backends: list[BackendName] = Field(
        list(DEFAULT_BACKENDS),
        min_length=1,
        description="Backends in order of preference. The first one that can run a model is used; the log and "
        "/readyz report why earlier ones were passed over. Backends that are not listed are never "
        "used: with a single entry, that backend is required, and start-up fails with exit code 3 "
        "without it. openvino (pip install 'sightd[openvino]') is faster on some processors.",
        examples=[["tensorrt"], ["openvino", "onnxruntime"]],
    )
    precision: Precision = Field(
        "auto",
        description="Precision of the models; backends that do not support it are passed over. auto is the "
        "fastest precision without a noticeable loss of accuracy: fp16 on TensorRT, otherwise that "
        "of the file. bf16 requires openvino and a processor with bf16 support; int8 requires models "
        "created by `sightd models quantize`.",
    )
    device: Device = Field(
        "auto",
        description="cpu, a GPU such as cuda:0, or auto: any device; with several GPUs, the models of the "
        "plug-ins are distributed over them.",
    )


class Events(Section):
    """The event journal, stored in the state directory; read it with `sightd events` or /api/v1/events."""

    path: Path | None = Field(
        None,
        description="Journal file. By default events.db in $SIGHTD_STATE_DIR, in the service's state directory, "
        "or in ~/.local/state/sightd.",
    )
    retention: Span = Field(30 * 86400.0, description="Older events are deleted.", examples=["30d"])
    max_count: int = Field(
        100_000, ge=100, description="Maximum number of events; beyond this, the oldest are deleted."
    )
    rules: dict[Name, EventRule] = Field(
        default_factory=dict,
        max_length=100,
        description="Rules by name, which say which events of plug-ins are stored (docs/rules.md). Kinds that no rule "
        "names are stored, unless the plug-in declares that they are stored only by a rule.",
    )
    snapshots: Snapshots | None = Field(None, description="Take pictures of events; by default none.")


class Log(Section):
    """The log, written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Minimum log level.")
    format: Literal["auto", "human", "json", "journald"] = Field(
        "auto",
        description="Log format; auto is human on a terminal, journald under systemd, and JSON lines otherwise.",
    )


class Config(Section):
    """A sightd configuration file."""

    version: Literal[1] = Field(1, description="Version of the file format.")
    cameras: dict[Name, Camera] = Field(
        default_factory=dict, description="Cameras by name; the name is part of the stream URL."
    )
    plugins: dict[Name, dict[str, Any]] = Field(
        default_factory=dict,
        description="Plug-in instances by name. `use` names the plug-in if the entry has a different name; the "
        "other options are those of the plug-in (`sightd plugins options NAME`).",
    )
    chain: list[Name] = Field(
        default_factory=list,
        description="Plug-ins that cameras without their own `chain` run, in order.",
    )
    render: Render = Field(default_factory=Render, description=Render.__doc__)
    output: Output = Field(default_factory=Output, description=Output.__doc__)
    access: Access = Field(default_factory=Access, description=Access.__doc__)
    rtsp: Rtsp = Field(default_factory=Rtsp, description=Rtsp.__doc__)
    http: Http = Field(default_factory=Http, description=Http.__doc__)
    webrtc: WebRtc = Field(default_factory=WebRtc, description=WebRtc.__doc__)
    control: Control = Field(default_factory=Control, description=Control.__doc__)
    models: Models = Field(default_factory=Models, description=Models.__doc__)
    engines: Engines = Field(default_factory=Engines, description=Engines.__doc__)
    events: Events = Field(default_factory=Events, description=Events.__doc__)
    delivery: Delivery = Field(default_factory=Delivery, description=Delivery.__doc__)
    recording: Recording = Field(default_factory=Recording, description=Recording.__doc__)
    log: Log = Field(default_factory=Log, description=Log.__doc__)

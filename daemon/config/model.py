"""Every option of the configuration file, documented where it is defined; `load` reads the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from sightd.engines.preference import DEFAULT_BACKENDS, BackendName, Precision
from sightd.plugins.units import Device, Duration, Size, Span

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""Lower-case letters, digits, "-" and "_": it becomes part of an address and of a metric's label."""

HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,253}$")]
"""A host name or address, without port."""


class Section(BaseModel):
    """A part of the file: unknown keys are refused, and nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Reconnect(Section):
    """How a feed comes back after a fault: it waits `first`, then twice as long each time, never above `longest`."""

    first: Span = Field(0.5, description="Wait before the first new attempt.", examples=["500ms"])
    longest: Span = Field(8.0, description="Longest wait between attempts.", examples=["8s"])


class Render(Section):
    """What is drawn on the picture. Every part can be switched off."""

    boxes: bool = Field(True, description="A box around each object.")
    labels: bool = Field(True, description="Class name on each box.")
    scores: bool = Field(True, description="Score behind the class name.")
    ids: bool = Field(True, description="Track number behind the class name.")
    trails: bool = Field(True, description="The way each track came, as a fading line.")
    trail_length: Duration = Field(2.0, description="How long a trail reaches back.", examples=["2s"])
    status: bool = Field(True, description="A line with camera name, time and frames a second.")
    min_score: float = Field(
        0.4, ge=0, le=1, description="Detections below this score are not drawn where no tracker runs."
    )
    colour_by: Literal["class", "track"] = Field("class", description="What a box's colour tells.")


class Output(Section):
    """The annotated video of a camera. It is encoded only while somebody watches."""

    encoder: Literal["auto", "x264", "nvenc"] = Field(
        "auto",
        description="What encodes H.264: x264 on the CPU, nvenc on an NVIDIA GPU that has an encoder (required: "
        "start-up fails with exit code 3 if there is none), or auto: nvenc if it can be opened, otherwise x264.",
    )
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"] = Field(
        "ultrafast", description="x264 preset: slower ones need fewer bits and more CPU. nvenc has its own."
    )
    crf: int = Field(23, ge=1, le=51, description="Quality: lower is better and larger; 18 looks like the source.")
    max_bitrate: int = Field(8000, ge=100, description="Upper limit in kbit/s.")
    keyframe_interval: Duration = Field(
        2.0, description="Longest time between key frames; a new viewer gets one at once.", examples=["2s"]
    )
    max_height: int | None = Field(
        None, ge=64, description="Scale larger pictures down to this many lines; by default never."
    )
    jpeg_quality: int = Field(80, ge=1, le=100, description="Quality of stills and of MJPEG.")
    mjpeg_max_fps: float = Field(15.0, gt=0, description="Upper limit of the MJPEG stream's frame rate.")


class Camera(Section):
    """One camera: where its pictures come from, what is done to them, how they are shown."""

    source: SecretStr = Field(
        description="rtsp://, rtsps://, http(s):// (MJPEG, a single picture, HLS, MPEG-TS), a file's path, "
        "/dev/videoN, or testpattern:// (a moving picture made here). User and password may be part of the address.",
        examples=["rtsp://user:${env:CAMERA_PASSWORD}@10.0.0.7/stream1", "/dev/video0", "testpattern://"],
    )
    enabled: bool = Field(True, description="False keeps the entry and does not start the camera.")
    title: str | None = Field(
        None, max_length=80, description="Name shown on the picture; the camera's key by default."
    )
    transport: Literal["tcp", "udp"] = Field("tcp", description="How RTSP brings the packets.")
    decoder: Literal["cpu", "nvdec"] = Field(
        "cpu",
        description="nvdec decodes H.264 and HEVC on an NVIDIA GPU (pip install 'sightd[gpu]'): pictures stay there "
        "for the networks of the same GPU, and are drawn on there. Required: start-up fails with exit code 3 if it "
        "is not available.",
    )
    timeout: Span = Field(
        3.0,
        description="A camera that is silent for so long is taken for lost. One that sends a picture a minute needs "
        "more than that, such as 90s.",
        examples=["3s", "90s"],
    )
    late_after: Duration = Field(
        2.0,
        description="A live stream whose pictures arrive later than this, by its own clock, is reported as late: in "
        "/readyz, the metrics, the journal and the picture. Its backlog is skipped, and a stream that stays late is "
        "opened again. 0: never.",
        examples=["2s"],
    )
    open_timeout: Span = Field(
        10.0,
        description="Longest time for opening the camera. Doubled at the second attempt and tripled from the third on, "
        "for cameras and recorders that start their stream on demand.",
        examples=["10s"],
    )
    loop: bool = Field(True, description="Begin a file again at its end.")
    deinterlace: Literal["auto", "on", "off"] = Field(
        "auto",
        description="auto makes whole frames of those that say they are interlaced, which shows each one frame later; "
        "on does so with all frames, for a source that does not say it. nvdec decides by itself.",
    )
    poll_interval: Span = Field(
        1.0,
        description="Time between requests to an http(s):// address that answers with a single picture.",
        examples=["1s", "1m"],
    )
    allowed_hosts: list[HostName] = Field(
        default_factory=list,
        description="Hosts other than its own to which an http(s):// source may redirect, or its playlists may lead: a "
        "camera must not be able to make sightd request addresses of your network. User and password are not sent to "
        "them. rtsp(s):// sources are never followed to another host, so the option has no effect on them.",
        examples=[["cdn.example.com"]],
    )
    width: int | None = Field(
        None, ge=16, le=8192, description="Picture width asked of a /dev/video device or the test pattern."
    )
    height: int | None = Field(None, ge=16, le=8192, description="Picture height, likewise.")
    fps: float | None = Field(None, gt=0, le=240, description="Frame rate, likewise.")
    reconnect: Reconnect = Field(default_factory=Reconnect, description=Reconnect.__doc__)
    chain: list[Name] | None = Field(
        None, description="Plug-ins in the order in which they see a frame; the file's `chain` by default."
    )
    render: Render | None = Field(None, description="What is drawn here; the file's `render` by default.")
    output: Output | None = Field(None, description="How it is encoded; the file's `output` by default.")


class Tls(Section):
    """A certificate and its key, PEM files."""

    certificate: Path = Field(description="PEM file with the certificate and its chain.")
    key: Path = Field(description="PEM file with the private key.")


class Credentials(Section):
    """Who may watch."""

    username: str = Field(min_length=1, description="Name a viewer gives.")
    password: SecretStr = Field(
        description="Password a viewer gives; best as ${env:NAME} or ${file:PATH}.",
        examples=["${file:/run/secrets/rtsp}"],
    )
    method: Literal["basic", "digest"] = Field(
        "digest", description="Basic sends the password readable: use it with TLS only."
    )


class Rtsp(Section):
    """The RTSP server: rtsp://HOST:PORT/CAMERA."""

    enabled: bool = Field(True, description="Serve RTSP.")
    host: str = Field(
        "127.0.0.1", description="Address to listen on; 0.0.0.0 for every one, which takes auth or access.tokens."
    )
    port: int = Field(8554, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    auth: Credentials | None = Field(None, description="Ask viewers for a name and a password.")
    tls: Tls | None = Field(None, description="Serve rtsps:// instead (needs glib-networking).")
    stall_timeout: Span = Field(
        10.0, description="A viewer that takes no packet for so long is disconnected.", examples=["10s"]
    )
    max_connections: int = Field(128, ge=1, description="Most connections at once; a further one is closed.")
    max_connections_per_address: int = Field(32, ge=1, description="Most of them from one address.")


RoleName = Literal["view", "operate", "admin"]


class Token(Section):
    """What opens the servers for whoever holds it, and how far."""

    role: RoleName = Field(
        description="view: pictures, state, metrics, events; operate: faces, too; admin: also takes persons away or "
        "out of the machine, and reloads the configuration."
    )
    token: SecretStr = Field(
        min_length=20,
        description="The token; `sightd token` makes one. Best as ${file:PATH} or ${env:NAME}.",
        examples=["${file:/run/credentials/sightd.service/wall-token}"],
    )


class Access(Section):
    """Who may come in, over HTTP and RTSP. Without tokens everybody on this machine may, and nobody else."""

    tokens: dict[Name, Token] = Field(
        default_factory=dict,
        description="By name. Over HTTP: Authorization: Bearer TOKEN, or name and token as user and password; over "
        "RTSP as user and password.",
    )


class Http(Section):
    """The web server: MJPEG, stills, metrics and health."""

    enabled: bool = Field(True, description="Serve HTTP.")
    host: str = Field(
        "127.0.0.1", description="Address to listen on; 0.0.0.0 for every one, which takes access.tokens."
    )
    port: int = Field(8080, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    tls: Tls | None = Field(None, description="Serve https:// instead.")
    proxies: list[str] = Field(
        default_factory=list,
        description="Addresses of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; by default "
        "nobody's, and whoever comes through one counts as it.",
        examples=[["127.0.0.1"]],
    )
    max_viewers: int = Field(32, ge=1, description="Most MJPEG viewers at once; another one is answered with 503.")
    max_connections: int = Field(256, ge=1, description="Most connections at once; a further one is closed.")
    max_connections_per_address: int = Field(
        24, ge=1, description="Most of them from one address; behind a proxy all viewers come from the proxy's."
    )


class Control(Section):
    """The Unix socket by which `sightd` commands of this machine reach the daemon. root and the daemon's own user are
    admin there, without a token."""

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
    """Where networks are kept and found."""

    directory: Path | None = Field(
        None,
        description="Folder for fetched networks. By default $SIGHTD_CACHE_DIR/models, $CACHE_DIRECTORY/models under "
        "systemd, else ~/.cache/sightd/models.",
    )
    mirror: Path | None = Field(
        None,
        description="Folder that is searched when no other source can be reached, for machines without internet "
        "access; $SIGHTD_MODEL_MIRROR by default.",
    )
    fetch: bool = Field(True, description="Download a missing model when the daemon starts.")
    max_download: Size = Field(2**30, description="Largest file that is fetched for a network.", examples=["1GiB"])


class Engines(Section):
    """What runs the networks. A plug-in's entry may state `backends`, `precision` and `device` of its own."""

    backends: list[BackendName] = Field(
        list(DEFAULT_BACKENDS),
        min_length=1,
        description="In order of preference: the first that can run a network does, and why those before it cannot is "
        "told in the log and by /readyz. What is not listed never runs: a list of one makes it a must, and a start "
        "without it ends with exit code 3. openvino (pip install 'sightd[openvino]') is on some processors faster.",
        examples=[["tensorrt"], ["openvino", "onnxruntime"]],
    )
    precision: Precision = Field(
        "auto",
        description="What networks compute in; a backend that cannot is passed over. auto is the backend's own best "
        "that loses nothing noticeable: fp16 on TensorRT, otherwise as the file is. bf16 is for openvino on processors "
        "that have it, int8 for networks made by `sightd models quantize`.",
    )
    device: Device = Field(
        "auto",
        description="cpu, a GPU as cuda:0, or auto: any, and where there are several GPUs each plug-in's network comes "
        "onto the next one.",
    )


class Events(Section):
    """The journal of what happens, among the state: `sightd events`, and /api/events."""

    path: Path | None = Field(
        None,
        description="Its file. By default events.db in $SIGHTD_STATE_DIR, in the service's state directory, or in "
        "~/.local/state/sightd.",
    )
    keep: Span = Field(30 * 86400.0, description="Older events are deleted.", examples=["30d"])
    most: int = Field(100_000, ge=100, description="Most events that are kept; beyond, the oldest are deleted.")


class Log(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least weight written.")
    format: Literal["auto", "human", "json", "journald"] = Field(
        "auto", description="human on a terminal, journald under systemd, JSON lines otherwise."
    )


class Config(Section):
    """A sightd configuration file."""

    version: Literal[1] = Field(1, description="Version of this file's format.")
    cameras: dict[Name, Camera] = Field(
        default_factory=dict, description="The cameras by name; the name is the stream's address."
    )
    plugins: dict[Name, dict[str, Any]] = Field(
        default_factory=dict,
        description="Plug-in instances by name. An entry's `use` names the plug-in where the name is another; its "
        "further options are the plug-in's own (`sightd plugins list`).",
    )
    chain: list[Name] = Field(
        default_factory=list,
        description="Plug-ins that every camera without a `chain` of its own runs, in order.",
    )
    render: Render = Field(default_factory=Render, description=Render.__doc__)
    output: Output = Field(default_factory=Output, description=Output.__doc__)
    access: Access = Field(default_factory=Access, description=Access.__doc__)
    rtsp: Rtsp = Field(default_factory=Rtsp, description=Rtsp.__doc__)
    http: Http = Field(default_factory=Http, description=Http.__doc__)
    control: Control = Field(default_factory=Control, description=Control.__doc__)
    models: Models = Field(default_factory=Models, description=Models.__doc__)
    engines: Engines = Field(default_factory=Engines, description=Engines.__doc__)
    events: Events = Field(default_factory=Events, description=Events.__doc__)
    log: Log = Field(default_factory=Log, description=Log.__doc__)

// Fragmented MP4 over a WebSocket, played by Media Source Extensions at the live edge.

import { get, socketAddress, withQuery } from "./api.js";

const AIM = 0.12; // s behind the newest frame
const FAR = 0.6; // s behind it from which on playback jumps instead of hurrying
const KEPT = 6; // s of played video that stay in the buffer
const CATCH_UP = 1.08; // speed while hurrying

/** Opens /api/v1/mse/NAME. `onFrame` gets each shown frame, `onEnd` why there are no more. Returns `{close}`. */
export function openMse({ camera, view, mount, onFrame, onEnd }) {
  const Source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;
  if (!Source) {
    queueMicrotask(() => onEnd({ why: "unsupported" }));
    return { close() {} };
  }
  const video = videoElement();
  mount(video);
  const buffer = new LiveBuffer(video, Source, onEnd);
  const socket = new WebSocket(socketAddress(withQuery(`api/v1/mse/${encodeURIComponent(camera)}`, { view })));
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => (typeof data === "string" ? buffer.begin(JSON.parse(data)) : buffer.append(data));
  let opened = false;
  socket.onopen = () => (opened = true);
  socket.onclose = () => (opened ? onEnd({ why: "away" }) : refusal(onEnd));
  const forget = watchFrames(video, () => onFrame({ element: video, size: [video.videoWidth, video.videoHeight], ...buffer.timing() }));
  return {
    close() {
      socket.onclose = socket.onmessage = null;
      socket.close();
      forget();
      buffer.close();
    },
  };
}

/** A WebSocket does not say why it was refused: whether the server is there says half of it. */
async function refusal(onEnd) {
  const there = await get("api/v1/me").then(() => true, (error) => error.status > 0);
  onEnd({ why: there ? "refused" : "away" });
}

/** A video element for live video, without sound. */
export function videoElement() {
  return Object.assign(document.createElement("video"), { muted: true, playsInline: true, disableRemotePlayback: true });
}

/** Calls `shown(metadata)` for each frame that a video shows. Returns a function that ends this. */
export function watchFrames(video, shown) {
  let handle = 0;
  const next = (_now, metadata) => {
    handle = video.requestVideoFrameCallback(next);
    shown(metadata);
  };
  handle = video.requestVideoFrameCallback(next);
  return () => video.cancelVideoFrameCallback(handle);
}

class LiveBuffer {
  #video;
  #media;
  #onEnd;
  #buffer = null;
  #queue = [];
  #opened;
  #url;
  #epoch = null;

  constructor(video, Source, onEnd) {
    this.#video = video;
    this.#onEnd = onEnd;
    this.#media = new Source();
    this.#opened = new Promise((opened) => this.#media.addEventListener("sourceopen", opened, { once: true }));
    this.#url = URL.createObjectURL(this.#media);
    video.src = this.#url;
  }

  /** Takes the type of what follows: at first, and when the codec or the frame size changes. `epoch` is the wall-clock
   * time of the media time 0, in s since the epoch. */
  begin({ type, epoch = null }) {
    this.#epoch = epoch;
    this.#queue.push({ type });
    this.#opened.then(() => this.#next());
  }

  append(data) {
    this.#queue.push(data);
    this.#next();
  }

  /** How far playback is behind the newest frame, in ms; and when the shown frame was captured. */
  timing() {
    const { buffered, currentTime } = this.#video;
    const latency = buffered.length ? 1000 * (buffered.end(buffered.length - 1) - currentTime) : null;
    return { latency, frameAt: this.#epoch === null ? null : 1000 * (this.#epoch + currentTime) };
  }

  close() {
    this.#queue = [];
    this.#onEnd = () => {};
    URL.revokeObjectURL(this.#url);
  }

  #next() {
    if (this.#media.readyState !== "open" || this.#buffer?.updating || !this.#queue.length) return;
    const next = this.#queue.shift();
    try {
      if (next.type) return this.#change(next.type);
      this.#buffer.appendBuffer(next);
    } catch (error) {
      this.#onEnd({ why: "away", message: error.message });
    }
  }

  #change(type) {
    if (!this.#media.constructor.isTypeSupported(type)) return this.#onEnd({ why: "refused", message: type });
    if (this.#buffer) this.#buffer.changeType(type);
    else {
      this.#buffer = this.#media.addSourceBuffer(type);
      this.#buffer.addEventListener("updateend", () => this.#updated());
    }
    this.#next();
  }

  #updated() {
    const video = this.#video;
    const { buffered } = video;
    if (buffered.length) this.#follow(buffered.start(buffered.length - 1), buffered.end(buffered.length - 1));
    if (video.paused) video.play().catch((error) => error.name === "AbortError" || this.#onEnd({ why: "unsupported", message: error.message }));
    if (buffered.length && video.currentTime - buffered.start(0) > 2 * KEPT && !this.#buffer.updating) this.#buffer.remove(0, video.currentTime - KEPT);
    else this.#next();
  }

  #follow(start, end) {
    const video = this.#video;
    const behind = end - video.currentTime;
    if (behind > FAR || behind < 0) video.currentTime = Math.max(start, end - AIM);
    video.playbackRate = behind > 2 * AIM && behind <= FAR ? CATCH_UP : 1;
  }
}

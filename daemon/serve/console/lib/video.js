// Live video of a camera: by WebRTC, otherwise MSE over a WebSocket, otherwise MJPEG, otherwise single pictures. Plays while
// it is visible, reconnects by itself, and reports what it shows.

import { html, useEffect, useRef } from "../vendor/preact-htm.js";
import { Backoff, onVisibility } from "./api.js";
import { t } from "./i18n.js";
import { daemonTime } from "./store.js";
import { openMjpeg, openStills } from "./video-mjpeg.js";
import { openMse } from "./video-mse.js";
import { openWebRtc } from "./video-webrtc.js";

const OPEN = { webrtc: openWebRtc, mse: openMse, mjpeg: openMjpeg, stills: openStills };
const FIRST_FRAME = 5000; // ms that a transport may take to show something
const STALLED = 4000; // ms without a frame after which it is opened again
const AVOIDED = 60000; // ms for which a transport that does not work here is not tried again
const REPORTED = 1000; // ms between two reports

const broken = new Map(); // transport → until when it is avoided, for all players of the page

/** Order in which transports are tried. "mjpeg" and "stills" have the annotated view only. */
export const TRANSPORTS = ["webrtc", "mse", "mjpeg", "stills"];

/** Plays one view of a camera inside an element. `onState` gets `{transport, fps, latency, whole, error, size,
 * frameAt}`: which transport shows the video (null while none does), frames per second of the last seconds, the latency
 * in ms (`whole`: since the frame was captured; otherwise the browser's part of it), why there is no video, its
 * [width, height], and when the shown frame was captured, in ms since the epoch by the daemon's clock (null if the
 * transport does not say). Call `start` and `stop` as often as you like. */
export class LivePlayer {
  #host;
  #camera;
  #view;
  #transports;
  #onState;
  #connection = null;
  #attempt = 0;
  #timer = 0;
  #reporter = 0;
  #backoff = new Backoff();
  #frames = [];
  #lastFrame = 0;
  #playing = false;
  #element = null;
  state = { transport: null, fps: 0, latency: null, whole: false, error: null, size: null, frameAt: null };

  constructor(host, { camera, view = "annotated", transports = TRANSPORTS, onState = () => {} }) {
    this.#host = host;
    this.#camera = camera;
    this.#view = view;
    this.#transports = view === "clean" ? transports.filter((one) => one === "webrtc" || one === "mse") : transports;
    this.#onState = onState;
  }

  start() {
    if (this.#playing) return;
    this.#playing = true;
    this.#reporter = setInterval(() => this.#report(), REPORTED);
    this.#try(0);
  }

  /** Disconnects. The last frame stays visible. */
  stop() {
    if (!this.#playing) return;
    this.#playing = false;
    clearInterval(this.#reporter);
    this.#close();
    this.#set({ transport: null, fps: 0, latency: null, frameAt: null });
  }

  /** The element that shows the video: a video or a canvas; null before the first frame. */
  get element() {
    return this.#element;
  }

  #try(from) {
    this.#close();
    const attempt = ++this.#attempt;
    const index = this.#transports.findIndex((one, place) => place >= from && !((broken.get(one) ?? 0) > Date.now()));
    if (index < 0) return this.#later(0);
    const name = this.#transports[index];
    this.#frames = [];
    this.#lastFrame = performance.now();
    const current = () => this.#playing && attempt === this.#attempt;
    this.#connection = OPEN[name]({
      camera: this.#camera,
      view: this.#view,
      mount: (element) => current() && this.#host.append(element),
      onFrame: (frame) => current() && this.#frame(name, frame),
      onEnd: (failure) => current() && this.#failed(index, failure),
    });
    this.#timer = setTimeout(() => current() && this.#failed(index, { why: "silent" }), FIRST_FRAME);
  }

  #frame(name, { element, size, latency = null, frameAt = null }) {
    const now = performance.now();
    if (this.#element !== element) this.#show(name, element);
    this.#frames.push(now);
    this.#lastFrame = now;
    if (this.state.size?.[0] !== size[0] || this.state.size?.[1] !== size[1]) this.#set({ size });
    const age = frameAt === null ? null : daemonTime() && Math.max(0, daemonTime() - frameAt);
    Object.assign(this.state, { frameAt, whole: age !== null, latency: age ?? latency });
  }

  #show(name, element) {
    clearTimeout(this.#timer);
    this.#element = element;
    for (const other of [...this.#host.children]) if (other !== element) other.remove();
    this.#backoff.reset();
    this.#set({ transport: name, error: null });
  }

  /** `failure.why`: "unsupported", it does not work in this browser or on this network; "refused", not for this camera or
   * view now; "away", the server cannot be reached; "silent", no frames. */
  #failed(index, failure) {
    const played = this.state.transport !== null;
    this.#set({ transport: null, fps: 0, latency: null, frameAt: null, error: failure.message ?? t("video.connecting") });
    const name = this.#transports[index];
    if (failure.why === "away" || played) return this.#later(0);
    if (failure.why === "unsupported" || (failure.why === "silent" && name === "webrtc")) broken.set(name, Date.now() + AVOIDED);
    if (index + 1 < this.#transports.length) this.#try(index + 1);
    else this.#later(0);
  }

  #later(index) {
    this.#close();
    this.#timer = setTimeout(() => this.#playing && this.#try(index), this.#backoff.next());
  }

  #close() {
    this.#attempt++;
    clearTimeout(this.#timer);
    this.#connection?.close();
    this.#connection = null;
    for (const other of [...this.#host.children]) if (other !== this.#element) other.remove();
  }

  #report() {
    const now = performance.now();
    if (this.state.transport !== null && now - this.#lastFrame > STALLED) return this.#failed(0, { why: "away" });
    this.#frames = this.#frames.filter((at) => at > now - 3000);
    const [first, last] = [this.#frames[0], this.#frames.at(-1)];
    const fps = this.#frames.length > 1 && last > first ? (1000 * (this.#frames.length - 1)) / (last - first) : 0;
    this.#set({ fps });
  }

  #set(changes) {
    this.state = { ...this.state, ...changes };
    this.#onState(this.state);
  }
}

/** Calls `listener(visible)` when an element comes into view or leaves it, also with its tab. Returns a function that ends
 * this. */
export function watchVisible(element, listener) {
  let inside = false;
  let before = false;
  const changed = () => {
    const now = inside && document.visibilityState === "visible";
    if (now !== before) listener((before = now));
  };
  const observer = new IntersectionObserver((entries) => {
    inside = entries.at(-1).isIntersecting;
    changed();
  });
  observer.observe(element);
  const forget = onVisibility(changed);
  return () => {
    observer.disconnect();
    forget();
  };
}

/** Live video as a component: plays while it is in view. `onState` as of LivePlayer; `onPlayer` gets the player. */
export function LiveVideo({ camera, view = "annotated", transports, onState, onPlayer, label }) {
  const host = useRef(null);
  const latest = useRef({});
  latest.current = { onState };
  useEffect(() => {
    const player = new LivePlayer(host.current, { camera, view, transports, onState: (state) => latest.current.onState?.(state) });
    onPlayer?.(player);
    const forget = watchVisible(host.current, (visible) => (visible ? player.start() : player.stop()));
    return () => {
      forget();
      player.stop();
      onPlayer?.(null);
    };
  }, [camera, view]);
  return html`<div class="live-video" ref=${host} role="img" aria-label=${label}></div>`;
}

const NAMES = { webrtc: "WebRTC", mse: "MSE", mjpeg: "MJPEG" };

/** What a transport is called for people. */
export function transportName(transport) {
  return NAMES[transport] ?? t("video.stills");
}

// WebRTC by WHEP: one offer, one answer, without trickle ICE.

import { request } from "./api.js";
import { videoElement, watchFrames } from "./video-mse.js";

const GATHERING = 1000; // ms to wait for this browser's addresses; those of the LAN are there at once
const CLOCK = 90000; // ticks of an RTP timestamp per second
const WRAP = 2 ** 32 / CLOCK;

let servers = null;

/** STUN and TURN servers that the daemon names, asked once. */
function iceServers(camera) {
  servers ??= request("OPTIONS", `api/v1/whep/${encodeURIComponent(camera)}`).then(
    (response) => parsedLinks(response.headers.get("link") ?? ""),
    (error) => {
      servers = null;
      throw error;
    },
  );
  return servers;
}

/** Servers of a Link header as in WHEP, 4.6. */
function parsedLinks(header) {
  return [...header.matchAll(/<([^>]+)>((?:; *[\w-]+="(?:[^"\\]|\\.)*")*)/g)].map(([, urls, rest]) => {
    const found = Object.fromEntries([...rest.matchAll(/([\w-]+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value.replace(/\\(.)/g, "$1")]));
    return found.username ? { urls, username: found.username, credential: found.credential } : { urls };
  });
}

/** Opens a session. `onFrame` gets each shown frame, `onEnd` why there are no more. Returns `{close}`. */
export function openWebRtc({ camera, view, mount, onFrame, onEnd }) {
  if (!globalThis.RTCPeerConnection) {
    queueMicrotask(() => onEnd({ why: "unsupported" }));
    return { close() {} };
  }
  const control = new AbortController();
  const session = new Session(camera, view, control.signal, { mount, onFrame, onEnd });
  session.open().catch((error) => control.signal.aborted || onEnd(failure(error)));
  return {
    close() {
      control.abort();
      session.close();
    },
  };
}

function failure(error) {
  if (error.status === 0) return { why: "away", message: error.message };
  const refused = [401, 403, 409, 429, 503].includes(error.status);
  return { why: refused ? "refused" : "unsupported", message: refused ? error.message : undefined };
}

class Session {
  #camera;
  #view;
  #signal;
  #mount;
  #onFrame;
  #onEnd;
  #peer = null;
  #id = null;
  #epoch = null;
  #forget = () => {};

  constructor(camera, view, signal, { mount, onFrame, onEnd }) {
    this.#camera = camera;
    this.#view = view;
    this.#signal = signal;
    this.#mount = mount;
    this.#onFrame = onFrame;
    this.#onEnd = onEnd;
  }

  async open() {
    const found = await iceServers(this.#camera);
    if (this.#signal.aborted) return;
    this.#peer = new RTCPeerConnection({ iceServers: found, bundlePolicy: "max-bundle" });
    const peer = this.#peer;
    peer.addTransceiver("video", { direction: "recvonly" });
    peer.ontrack = (event) => this.#play(event);
    peer.onconnectionstatechange = () => {
      if (peer.connectionState === "failed") this.#onEnd({ why: "unsupported" });
      else if (peer.connectionState === "disconnected") this.#onEnd({ why: "away" });
    };
    await peer.setLocalDescription();
    await gathered(peer);
    await this.#exchange(peer);
  }

  async #exchange(peer) {
    const path = `api/v1/whep/${encodeURIComponent(this.#camera)}?view=${this.#view}`;
    const response = await request("POST", path, { body: peer.localDescription.sdp, headers: { "Content-Type": "application/sdp" } });
    this.#id = response.headers.get("location").split("/").at(-1);
    this.#epoch = Number(response.headers.get("x-sightd-epoch")) || null;
    const sdp = await response.text();
    if (this.#signal.aborted) return this.#end();
    await peer.setRemoteDescription({ type: "answer", sdp });
  }

  #play({ track, receiver }) {
    const video = videoElement();
    this.#mount(video);
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
    video.srcObject = new MediaStream([track]);
    this.#forget = watchFrames(video, (metadata) => this.#shown(video, metadata));
    video.play().catch((error) => error.name === "AbortError" || this.#onEnd({ why: "unsupported", message: error.message }));
  }

  #shown(video, metadata) {
    const latency = metadata.receiveTime === undefined ? null : metadata.expectedDisplayTime - metadata.receiveTime;
    this.#onFrame({ element: video, size: [video.videoWidth, video.videoHeight], latency, frameAt: this.#capturedAt(metadata.rtpTimestamp) });
  }

  /** The wall-clock time of a timestamp, which wraps every 13 hours: the one closest to now. */
  #capturedAt(timestamp) {
    if (this.#epoch === null || timestamp === undefined) return null;
    const at = timestamp / CLOCK + this.#epoch;
    return 1000 * (at + WRAP * Math.round((Date.now() / 1000 - at) / WRAP));
  }

  close() {
    this.#forget();
    const connected = this.#peer?.connectionState === "connected";
    this.#peer?.close();
    if (!connected) this.#end(); // a connected peer says goodbye itself
  }

  /** Ends the session that the server keeps, which it would notice after some seconds only. */
  #end() {
    if (this.#id === null) return;
    request("DELETE", `api/v1/whep/sessions/${this.#id}`, { keepalive: true }).catch(() => {});
    this.#id = null;
  }
}

function gathered(peer) {
  return new Promise((done) => {
    const check = () => peer.iceGatheringState === "complete" && done();
    peer.addEventListener("icegatheringstatechange", check);
    setTimeout(done, GATHERING);
    check();
  });
}

// MJPEG, read as a stream of JPEG images and drawn on a canvas; and single pictures, where a browser allows no more streams.

import { get } from "./api.js";

const MOST_STREAMS = 4; // browsers open six connections to a server; the others are for all else
const STILLS_EVERY = 1000;

let streams = 0;

/** Opens /NAME.mjpg. `onFrame` gets each frame, `onEnd` why there are no more. Returns `{close}`. */
export function openMjpeg({ camera, mount, onFrame, onEnd }) {
  if (streams >= MOST_STREAMS) {
    queueMicrotask(() => onEnd({ why: "refused" }));
    return { close() {} };
  }
  streams++;
  const control = new AbortController();
  const painter = new Painter(mount, onFrame);
  control.signal.addEventListener("abort", () => streams--);
  read(`${encodeURIComponent(camera)}.mjpg`, control.signal, painter).then(
    () => onEnd({ why: "away" }),
    (failure) => control.signal.aborted || onEnd(failure),
  );
  return { close: () => control.abort() };
}

/** Asks for /NAME.jpg every second. */
export function openStills({ camera, mount, onFrame, onEnd }) {
  const control = new AbortController();
  const painter = new Painter(mount, onFrame);
  let timer = 0;
  const next = async () => {
    try {
      const response = await fetched(`${encodeURIComponent(camera)}.jpg`, control.signal);
      await painter.paint(await response.blob(), performance.now());
      timer = setTimeout(next, STILLS_EVERY);
    } catch (failure) {
      if (!control.signal.aborted) onEnd(failure);
    }
  };
  next();
  return {
    close() {
      control.abort();
      clearTimeout(timer);
    },
  };
}

async function fetched(path, signal) {
  const response = await fetch(path, { signal, headers: { "X-Sightd": "1" }, credentials: "same-origin", cache: "no-store" }).catch((error) => {
    throw { why: "away", message: error.message };
  });
  if (response.ok) return response;
  if (response.status === 401) await get("api/v1/me").catch(() => {}); // which shows the login page
  const body = await response.json().catch(() => ({}));
  throw { why: "refused", message: body.error ?? body.detail };
}

async function read(path, signal, painter) {
  const response = await fetched(path, signal);
  const boundary = `--${response.headers.get("content-type").split("boundary=")[1]}\r\n`;
  const parts = new Parts(boundary);
  const reader = response.body.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const arrived = performance.now();
    const newest = parts.add(value);
    if (newest) painter.paint(new Blob([newest], { type: "image/jpeg" }), arrived);
  }
}

/** Splits a multipart stream by the lengths that its parts state. */
class Parts {
  #data = new Uint8Array(1 << 18);
  #size = 0;
  #boundary;

  constructor(boundary) {
    this.#boundary = boundary;
  }

  /** Takes bytes; returns the newest complete part, if any. */
  add(bytes) {
    if (this.#size + bytes.length > this.#data.length) {
      const larger = new Uint8Array(2 * (this.#size + bytes.length));
      larger.set(this.#data.subarray(0, this.#size));
      this.#data = larger;
    }
    this.#data.set(bytes, this.#size);
    this.#size += bytes.length;
    let newest = null;
    for (let part = this.#next(); part; part = this.#next()) newest = part;
    return newest;
  }

  #next() {
    const head = new TextDecoder("latin1").decode(this.#data.subarray(0, Math.min(this.#size, 512)));
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return null;
    const length = Number(/content-length: *(\d+)/i.exec(head)?.[1]);
    if (!head.startsWith(this.#boundary) || !Number.isFinite(length)) throw { why: "refused", message: "The MJPEG stream is malformed." };
    const begin = end + 4;
    if (this.#size < begin + length + 2) return null;
    const part = this.#data.slice(begin, begin + length);
    this.#data.copyWithin(0, begin + length + 2, this.#size);
    this.#size -= begin + length + 2;
    return part;
  }
}

/** Draws images on a canvas: always the newest, never two at once. */
class Painter {
  #canvas = document.createElement("canvas");
  #onFrame;
  #busy = false;
  #waiting = null;

  constructor(mount, onFrame) {
    mount(this.#canvas);
    this.#onFrame = onFrame;
  }

  async paint(blob, arrived) {
    if (this.#busy) {
      this.#waiting = [blob, arrived];
      return;
    }
    this.#busy = true;
    try {
      const image = await createImageBitmap(blob);
      const { width, height } = image;
      if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
      this.#canvas.getContext("2d").drawImage(image, 0, 0);
      image.close();
      this.#onFrame({ element: this.#canvas, size: [width, height], latency: performance.now() - arrived });
    } catch {
      // a damaged image: the next one follows, or the player opens the stream again
    } finally {
      this.#busy = false;
    }
    const next = this.#waiting;
    this.#waiting = null;
    if (next) await this.paint(...next);
  }
}

// Plays a camera's recording from any time on, piece by piece: a piece is one request, and what follows it is the next.

import { request, withQuery } from "./api.js";

const PIECE = 120;

/** The recording of a time as one file. */
export function recordingPath(camera, since, until) {
  return withQuery(`api/v1/recordings/${encodeURIComponent(camera)}.mp4`, { since: since.toFixed(3), until: until.toFixed(3) });
}

/** Plays into a video element. `times` are [begin, end] in seconds since the epoch; `onTime(at)` says what is shown, `onStop(error)` that
 * nothing follows. Times that were not recorded are skipped. */
export class Playback {
  #video;
  #camera;
  #times;
  #onTime;
  #onStop;
  #begin = 0;
  #end = 0;

  constructor(video, camera, times, onTime, onStop) {
    Object.assign(video, { ontimeupdate: () => this.#moved(), onended: () => this.#next(this.#end), onerror: () => this.#failed() });
    this.#video = video;
    this.#camera = camera;
    this.#times = times;
    this.#onTime = onTime;
    this.#onStop = onStop;
  }

  /** Plays from a time on, or from when there is something again. `begin` is when the key frame is that a file from `at` on begins with. */
  play(at, begin = at) {
    const span = this.#times.find(([, end]) => end > at + 0.1);
    if (!span) {
      this.#onStop(null);
      return;
    }
    const since = Math.max(at, span[0]);
    this.#begin = since === at ? begin : since;
    this.#end = Math.min(span[1], since + PIECE);
    const { playbackRate, muted } = this.#video;
    this.#video.src = recordingPath(this.#camera, since, this.#end);
    Object.assign(this.#video, { playbackRate, muted });
    this.#video.play().catch((error) => error.name !== "AbortError" && this.#onStop(error));
  }

  /** Ends the request; nothing is called any more. */
  close() {
    Object.assign(this.#video, { ontimeupdate: null, onended: null, onerror: null });
    this.#video.removeAttribute("src");
    this.#video.load();
  }

  #moved() {
    this.#onTime(this.#begin + this.#video.currentTime);
  }

  #next(end) {
    this.play(end + 0.001);
  }

  async #failed() {
    const control = new AbortController();
    try {
      await request("GET", this.#video.getAttribute("src"), { signal: control.signal });
      control.abort();
      this.#onStop(new Error(""));
    } catch (error) {
      this.#onStop(error);
    }
  }
}

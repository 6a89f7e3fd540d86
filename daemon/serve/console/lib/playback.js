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
  #closed = false;

  constructor(video, camera, times, onTime, onStop) {
    Object.assign(video, { ontimeupdate: () => this.#moved(), onended: () => this.#next(this.#end), onerror: () => this.#failed() });
    this.#video = video;
    this.#camera = camera;
    this.#times = times;
    this.#onTime = onTime;
    this.#onStop = onStop;
  }

  /** Plays from a time on, or from when there is something again. A piece begins with a key frame and ends before one: nothing is
   * shown twice, and the time is exact. */
  async play(at) {
    const span = this.#times.find(([, end]) => end > at + 0.1);
    if (!span) {
      this.#onStop(null);
      return;
    }
    const since = Math.max(at, span[0]);
    const begin = await this.#keyFrame(since);
    const last = Math.min(span[1], since + PIECE);
    const end = last < span[1] ? await this.#keyFrame(last) : last;
    if (this.#closed) return;
    this.#begin = begin;
    this.#end = end > since ? end : last;
    this.#video.src = recordingPath(this.#camera, since, this.#end);
    this.#video.play().catch((error) => error.name !== "AbortError" && this.#onStop(error));
  }

  /** When the key frame at or before a time is; the time itself if that cannot be found out. */
  async #keyFrame(at) {
    const query = { time: at.toFixed(3), width: 64 };
    const path = withQuery(`api/v1/recordings/${encodeURIComponent(this.#camera)}/preview.jpg`, query);
    const answer = await request("HEAD", path).catch(() => null);
    return Number(answer?.headers.get("X-Sightd-Time")) || at;
  }

  /** Ends the request; nothing is called any more. */
  close() {
    this.#closed = true;
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

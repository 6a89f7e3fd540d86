// Pictures of a recording at a time: one request at a time, the newest wish wins, and the last pictures are kept.

import { ApiError, request, withQuery } from "./api.js";

const KEPT = 200;

export class Previews {
  #camera;
  #width;
  #kept = new Map();
  #wanted = null;
  #busy = false;
  #closed = false;

  constructor(camera, width) {
    this.#camera = camera;
    this.#width = width;
  }

  /** Calls `show({at, url, shown})` with the picture at or before `at`, a time in whole seconds since the epoch: `shown` is when it
   * was recorded. Without a picture `url` is null and `reason` says why. Not called if another one was asked for meanwhile. */
  ask(at, show) {
    const known = this.#kept.get(at);
    this.#wanted = known ? null : { at, show };
    if (known) show(known);
    else if (!this.#busy) this.#load();
  }

  close() {
    this.#closed = true;
    for (const { url } of this.#kept.values()) URL.revokeObjectURL(url);
  }

  async #load() {
    this.#busy = true;
    while (this.#wanted && !this.#closed) {
      const { at, show } = this.#wanted;
      const found = await this.#picture(at);
      if (this.#closed) return;
      if (found.url) this.#keep(found);
      if (this.#wanted?.at !== at) continue;
      this.#wanted = null;
      show(found);
    }
    this.#busy = false;
  }

  async #picture(at) {
    try {
      const response = await request("GET", withQuery(`api/v1/recordings/${encodeURIComponent(this.#camera)}/preview.jpg`, { time: at, width: this.#width }));
      return { at, url: URL.createObjectURL(await response.blob()), shown: Number(response.headers.get("X-Sightd-Time")) };
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return { at, url: null, reason: error.message };
    }
  }

  #keep(found) {
    this.#kept.set(found.at, found);
    if (this.#kept.size <= KEPT) return;
    const [oldest, { url }] = this.#kept.entries().next().value;
    URL.revokeObjectURL(url);
    this.#kept.delete(oldest);
  }
}

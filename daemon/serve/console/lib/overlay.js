// Draws the results of analysed frames on a canvas over live video, each on the frame that it belongs to.

import { socketMessages, withQuery } from "./api.js";

const KEPT = 3000; // ms that results wait for their frame
const OUTDATED = 1500; // ms after which results are not shown any more if no others follow
const COLOURS = ["#4da3ff", "#ffb13d", "#5fd38d", "#ff7a90", "#b48cff", "#3ed6d0", "#f5e04a", "#ff8f4d"];

/** The colour of a track or class; the same number always has the same. */
export function colourOf(number) {
  return COLOURS[((number % COLOURS.length) + COLOURS.length) % COLOURS.length];
}

/** Reads a camera's live results while the tab is visible. `onRecord` gets each record of docs/live-results.md. Returns a
 * function that ends it. */
export function liveResults(camera, onRecord, { keys, rate = 15 } = {}) {
  return socketMessages(withQuery("api/v1/stream", { camera, key: keys, rate }), onRecord);
}

/** Draws records on a canvas. `frameAt()` returns when the shown frame was captured, in ms since the epoch, or null: then
 * the newest record is drawn. Call `add` with each record, and `close` at the end. */
export class Overlay {
  #canvas;
  #frameAt;
  #records = [];
  #drawn = null;
  #handle = 0;

  constructor(canvas, frameAt) {
    this.#canvas = canvas;
    this.#frameAt = frameAt;
    this.#handle = requestAnimationFrame(() => this.#next());
  }

  add(record) {
    this.#records.push({ record, at: Date.parse(record.time), arrived: performance.now() });
  }

  close() {
    cancelAnimationFrame(this.#handle);
    this.#canvas.getContext("2d").clearRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  #next() {
    this.#handle = requestAnimationFrame(() => this.#next());
    const now = performance.now();
    this.#records = this.#records.filter((one) => one.arrived > now - KEPT);
    const record = this.#current(now)?.record ?? null;
    const resized = fitToScreen(this.#canvas);
    if (record === this.#drawn && !resized) return;
    this.#drawn = record;
    draw(this.#canvas, record);
  }

  #current(now) {
    const shown = this.#frameAt();
    const due = shown === null ? this.#records : this.#records.filter((one) => one.at <= shown + 5);
    const newest = due.at(-1);
    return newest && newest.arrived > now - OUTDATED ? newest : undefined;
  }
}

/** Gives a canvas as many pixels as the screen has for it. Returns whether that has changed its size. */
function fitToScreen(canvas) {
  const width = Math.round(canvas.clientWidth * devicePixelRatio);
  const height = Math.round(canvas.clientHeight * devicePixelRatio);
  if (canvas.width === width && canvas.height === height) return false;
  Object.assign(canvas, { width, height });
  return true;
}

/** Draws one record, or clears the canvas if it is null. The video is shown in the canvas' middle, as large as possible. */
export function draw(canvas, record) {
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!record?.width) return;
  const scale = Math.min(canvas.width / record.width, canvas.height / record.height);
  const left = (canvas.width - scale * record.width) / 2;
  const top = (canvas.height - scale * record.height) / 2;
  const pen = new Pen(context, (x, y) => [left + scale * x, top + scale * y], devicePixelRatio);
  for (const one of shownDetections(record)) pen.detection(one, record.skeleton ?? []);
  for (const one of record.faces ?? []) pen.box(one.box, colourOf(one.track ?? 2), one.identity ?? "");
}

const tracking = new Set(); // cameras with a tracker

/** The detections that viewers see: of a camera with a tracker those that have a track, otherwise all. */
export function shownDetections({ camera, detections = [] }) {
  if (detections.some((one) => one.track !== null)) tracking.add(camera);
  return tracking.has(camera) ? detections.filter((one) => one.track !== null) : detections;
}

class Pen {
  #context;
  #place;
  #unit;

  constructor(context, place, unit) {
    this.#context = context;
    this.#place = place;
    this.#unit = unit;
    context.lineWidth = 2 * unit;
    context.lineJoin = "round";
    context.font = `600 ${12 * unit}px system-ui, sans-serif`;
    context.textBaseline = "middle";
  }

  detection(one, skeleton) {
    const colour = colourOf(one.track ?? one.class_id ?? 0);
    const name = [one.class, one.track && `#${one.track}`, `${Math.round(100 * one.score)} %`].filter(Boolean).join(" ");
    if (one.corners) this.outline(one.corners, colour);
    else this.box(one.box, colour, name);
    for (const [first, second] of skeleton) this.bone(one.keypoints?.[first], one.keypoints?.[second], colour);
  }

  box([x1, y1, x2, y2], colour, name) {
    this.outline([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], colour);
    if (name) this.#label(name, this.#place(x1, y1), colour);
  }

  outline(points, colour) {
    this.#context.strokeStyle = colour;
    this.#context.beginPath();
    for (const [x, y] of points) this.#context.lineTo(...this.#place(x, y));
    this.#context.closePath();
    this.#context.stroke();
  }

  bone(first, second, colour) {
    if (!first || !second || first[2] < 0.3 || second[2] < 0.3) return;
    this.#context.strokeStyle = colour;
    this.#context.beginPath();
    this.#context.moveTo(...this.#place(first[0], first[1]));
    this.#context.lineTo(...this.#place(second[0], second[1]));
    this.#context.stroke();
  }

  #label(name, [x, y], colour) {
    const context = this.#context;
    const height = 18 * this.#unit;
    const width = context.measureText(name).width + 10 * this.#unit;
    const top = Math.max(0, y - height);
    context.fillStyle = colour;
    context.fillRect(x - this.#unit, top, width, height);
    context.fillStyle = "#0b0d10";
    context.fillText(name, x + 4 * this.#unit, top + height / 2);
  }
}

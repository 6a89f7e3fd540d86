// Zones, lines and masks as the page of zones edits them: their geometry, their form in the API, and an editor with undo.
// Points are [x, y] as fractions of the frame's width and height, from its top left.

import { ApiError, send, withQuery } from "./api.js";
import { t } from "./i18n.js";
import { Store } from "./store.js";

export const MOST_CORNERS = 32;
const KEPT = 200; // steps that can be undone

export const isLine = (shape) => shape.kind === "line";
export const isPolygon = (shape) => !isLine(shape);
export const isNamed = (shape) => shape.kind === "zone" || isLine(shape);

/** The point moved into the frame, as precise as a large screen can tell. */
export function inFrame([x, y]) {
  const fraction = (value) => Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4;
  return [fraction(x), fraction(y)];
}

/** All points moved by [x, y], as far as all of them stay in the frame. */
export function moved(points, [x, y]) {
  const within = (by, values) => Math.min(1 - Math.max(...values), Math.max(-Math.min(...values), by));
  const [right, down] = [within(x, points.map((one) => one[0])), within(y, points.map((one) => one[1]))];
  return points.map((one) => inFrame([one[0] + right, one[1] + down]));
}

/** Whether a point is in a polygon: even-odd rule. */
export function contains(corners, [x, y]) {
  let inside = false;
  for (const [index, [ax, ay]] of corners.entries()) {
    const [bx, by] = corners[(index + 1) % corners.length];
    if (ay > y !== by > y && x < ax + ((y - ay) * (bx - ax)) / (by - ay)) inside = !inside;
  }
  return inside;
}

const side = ([ax, ay], [bx, by], [x, y]) => Math.sign((bx - ax) * (y - ay) - (by - ay) * (x - ax));

/** Whether two edges of a polygon cross. */
export function crossesItself(corners) {
  const edges = corners.map((one, index) => [one, corners[(index + 1) % corners.length]]);
  const cross = ([a, b], [c, d]) => side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0;
  return edges.some((first, index) => edges.slice(index + 2).some((second) => cross(first, second)));
}

/** The middle of the points, where a shape's name is written. */
export function middle(points) {
  const mean = (at) => points.reduce((sum, one) => sum + one[at], 0) / points.length;
  return [mean(0), mean(1)];
}

/** Start and tip of the arrow that shows which way over a line is "in": from left to right, as one looks from its start
 * to its end. `ratio` is the frame's width divided by its height. */
export function inwards([start, end], ratio) {
  const [x, y] = [(end[0] - start[0]) * ratio, end[1] - start[1]];
  const length = Math.hypot(x, y) || 1;
  const from = middle([start, end]);
  return [from, [from[0] - (0.09 * y) / length / ratio, from[1] + (0.09 * x) / length]];
}

/** How many of a record's detections stand in a polygon now, by the middle of the lower edge of their boxes. */
export function standing(corners, record, shown, classes) {
  const at = ({ box: [x1, , x2, y2] }) => [(x1 + x2) / 2 / record.width, Math.min(0.9999, y2 / record.height)];
  return shown.filter((one) => (!classes?.length || classes.includes(one.class)) && contains(corners, at(one))).length;
}

let numbered = 0;
const newKey = () => `shape${++numbered}`;

function namedShape(kind, name, { source, size = [1, 1], corners, points, ...options }, where) {
  const placed = (corners ?? points).map(([x, y]) => [x / size[0], y / size[1]]);
  return { key: newKey(), kind, name, points: placed, options, source, where: source === "api" ? null : `${where}.${kind}s.${name}` };
}

/** The shapes of GET /api/v1/zones/CAMERA; `where` is the place of the camera's zones in the configuration. */
export function shapesOf(form, where) {
  const of = (kind, found = {}) => Object.entries(found).map(([name, one]) => namedShape(kind, name, one, where));
  return [...of("zone", form.zones), ...of("line", form.lines)];
}

/** Masks of a plug-in of GET /api/v1/plugins: polygons of its options `ignore` and `only_inside`. `fixed`: why they
 * cannot be changed here; null if they can. */
export function masksOf(plugin, fixed) {
  const of = (kind) => (plugin.options[kind]?.value ?? []).map((points, index) =>
    ({ key: newKey(), kind, name: `${index + 1}`, plugin: plugin.name, points, options: {}, source: fixed ? "configuration" : "api", where: fixed }));
  return ["ignore", "only_inside"].flatMap(of);
}

function bodyOf(shape) {
  const options = Object.entries(shape.options).filter(([, value]) => value !== "" && value !== null && !(Array.isArray(value) && !value.length));
  return { [isLine(shape) ? "points" : "corners"]: shape.points, ...Object.fromEntries(options) };
}

const compared = (shape) => JSON.stringify([shape.kind, shape.name, shape.plugin, shape.points, bodyOf(shape)]);

/** What a request for a shape failed with, by field: those of the answer's `detail`, or "shape" for all else. */
function fieldErrors(error, known) {
  const found = {};
  const problems = Array.isArray(error.body?.detail) ? error.body.detail : [];
  for (const { loc = [], msg } of problems) {
    const field = [...loc].reverse().find((part) => known.includes(part)) ?? "shape";
    found[field] ??= msg.replace(/^Value error, /, "");
  }
  return problems.length ? found : { shape: error.message };
}

export const FIELDS = ["name", "classes", "active", "min_dwell", "leave_after", "loiter_after", "crowd", "left_behind_after", "removed_after", "objects"];

/** Edits the shapes of a camera. Its value has the `shapes`, the key of the `selected` one, the `draft` while one is
 * drawn, `{kind, plugin, points}`, and `errors` by key and field. */
export class Editor extends Store {
  #camera;
  #plugin;
  #saved = [];
  #past = [];
  #step = null;

  /** `plugin` is the instance of zones to ask for, if there are several. */
  constructor(camera, plugin = null) {
    super({ shapes: [], selected: null, draft: null, errors: {} });
    this.#camera = camera;
    this.#plugin = plugin;
  }

  /** Begins with what the server has; nothing can be undone. */
  load(shapes) {
    this.#saved = shapes;
    this.#past = [];
    const selected = this.selected;
    this.set({ shapes, selected: shapes.find((one) => selected && one.kind === selected.kind && one.name === selected.name)?.key ?? null, draft: null, errors: {} });
  }

  get selected() {
    return this.value.shapes.find((one) => one.key === this.value.selected) ?? null;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  /** Whether a shape is not stored as it is shown. */
  differs(shape) {
    const saved = this.#saved.find((one) => one.key === shape.key);
    return !saved || compared(saved) !== compared(shape);
  }

  get dirty() {
    const { shapes } = this.value;
    return shapes.length !== this.#saved.length || shapes.some((one) => this.differs(one));
  }

  select(key) {
    this.#update({ selected: key });
  }

  /** Changes a shape. Changes with the same `step` are undone together. */
  change(key, changes, step = null) {
    this.#remember(step);
    const errors = { ...this.value.errors, [key]: undefined };
    this.#update({ shapes: this.value.shapes.map((one) => (one.key === key ? { ...one, ...changes } : one)), errors });
  }

  remove(key) {
    this.#remember();
    this.#update({ shapes: this.value.shapes.filter((one) => one.key !== key), selected: null });
  }

  undo() {
    const shapes = this.#past.pop();
    this.#step = null;
    const kept = shapes.some((one) => one.key === this.value.selected) ? this.value.selected : null;
    this.#update({ shapes, selected: kept, errors: {} });
  }

  /** Begins to draw: a zone, line or mask. */
  draw(kind, plugin = null) {
    this.#update({ draft: { kind, plugin, points: [], cursor: [0.5, 0.5] }, selected: null });
  }

  /** Changes the draft; null ends drawing. */
  sketch(changes) {
    this.#update({ draft: changes && { ...this.value.draft, ...changes } });
  }

  /** Adds a point to the draft. A line is complete with its second one. */
  addPoint(point) {
    const { draft } = this.value;
    const [x, y] = inFrame(point);
    const last = draft.points.at(-1);
    if ((last && last[0] === x && last[1] === y) || draft.points.length >= MOST_CORNERS) return;
    this.sketch({ points: [...draft.points, [x, y]], cursor: [x, y] });
    if (isLine(draft) && draft.points.length === 1) this.finish();
  }

  get canFinish() {
    const { draft } = this.value;
    return draft !== null && draft.points.length >= (isLine(draft) ? 2 : 3);
  }

  /** Makes a shape of the draft, and selects it. */
  finish() {
    const { kind, plugin, points } = this.value.draft;
    this.#remember();
    const shape = { key: newKey(), kind, name: this.#freeName(kind, plugin), plugin, points, options: {}, source: "api", where: null };
    this.#update({ shapes: [...this.value.shapes, shape], selected: shape.key, draft: null });
  }

  /** Takes back all that is not stored. */
  revert() {
    this.load(this.#saved);
  }

  /** Stores all changes. Errors are in the value afterwards. Returns whether there were none. */
  async save() {
    const errors = this.#ownErrors();
    if (Object.keys(errors).length) return this.#failed(errors);
    await this.#delete(this.#saved.filter((one) => isNamed(one) && !this.value.shapes.some(({ key }) => key === one.key)), errors);
    for (const shape of this.value.shapes.filter((one) => isNamed(one) && this.differs(one))) await this.#put(shape, errors);
    await this.#saveMasks(errors);
    return this.#failed(errors);
  }

  #freeName(kind, plugin) {
    const taken = new Set(this.value.shapes.filter((one) => isNamed({ kind }) ? isNamed(one) : one.plugin === plugin).map((one) => one.name));
    for (let number = 1; ; number++) {
      const name = isNamed({ kind }) ? `${kind} ${number}` : `${number}`;
      if (!taken.has(name)) return name;
    }
  }

  #remember(step = null) {
    if (step === null || step !== this.#step) this.#past = [...this.#past.slice(1 - KEPT), this.value.shapes];
    this.#step = step;
  }

  #update(changes) {
    this.set({ ...this.value, ...changes });
  }

  #failed(errors) {
    const [first] = Object.keys(errors);
    this.#update(first ? { errors, selected: this.value.shapes.some((one) => one.key === first) ? first : this.value.selected } : { errors });
    return !first;
  }

  /** What the server cannot say at a field, because a name is part of the address. */
  #ownErrors() {
    const errors = {};
    const named = this.value.shapes.filter(isNamed);
    for (const shape of named.filter((one) => this.differs(one))) {
      if (!shape.name.trim()) errors[shape.key] = { name: t("zones.nameMissing") };
      else if (named.some((one) => one !== shape && one.name === shape.name)) errors[shape.key] = { name: t("zones.nameTaken") };
    }
    return errors;
  }

  #path(name) {
    return withQuery(`api/v1/zones/${encodeURIComponent(this.#camera)}/${encodeURIComponent(name)}`, { plugin: this.#plugin });
  }

  async #put(shape, errors) {
    const before = this.#saved.find((one) => one.key === shape.key);
    try {
      await send("PUT", this.#path(shape.name), bodyOf(shape));
    } catch (error) {
      errors[shape.key] = fieldErrors(error, FIELDS);
      return;
    }
    this.#saved = [...this.#saved.filter((one) => one.key !== shape.key), shape];
    if (before && before.name !== shape.name) await this.#delete([before], errors);
  }

  /** Removes shapes whose name no other has taken. */
  async #delete(shapes, errors) {
    for (const shape of shapes) {
      try {
        if (!this.value.shapes.some((one) => isNamed(one) && one.name === shape.name)) await send("DELETE", this.#path(shape.name));
        this.#saved = this.#saved.filter((one) => one !== shape);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.status === 404) this.#saved = this.#saved.filter((one) => one !== shape);
        else errors[shape.key] = { shape: error.message };
      }
    }
  }

  async #saveMasks(errors) {
    const group = (shape) => (isNamed(shape) || shape.where ? null : `${shape.plugin} ${shape.kind}`);
    const all = [...this.#saved, ...this.value.shapes];
    for (const one of new Set(all.map(group).filter(Boolean))) {
      const now = this.value.shapes.filter((shape) => group(shape) === one);
      const before = this.#saved.filter((shape) => group(shape) === one);
      const points = (shapes) => shapes.map((shape) => shape.points);
      if (JSON.stringify(points(now)) === JSON.stringify(points(before))) continue;
      const [plugin, kind] = one.split(" ");
      try {
        await send("PATCH", `api/v1/plugins/${encodeURIComponent(plugin)}`, { [kind]: now.length ? points(now) : null });
        this.#saved = [...this.#saved.filter((shape) => group(shape) !== one), ...now];
      } catch (error) {
        for (const shape of now.length ? now : before) errors[shape.key] = { shape: error.message };
      }
    }
  }
}

// The picture on which zones, lines and masks are drawn and changed: by mouse, touch and keyboard, over live video.

import { html, useEffect, useMemo, useRef, useState } from "../vendor/preact-htm.js";
import { Button } from "./components.js";
import { t } from "./i18n.js";
import { Overlay, shownDetections } from "./overlay.js";
import { MOST_CORNERS, crossesItself, inFrame, inwards, isLine, isNamed, isPolygon, middle, moved, standing } from "./shapes.js";
import { useStore } from "./store.js";
import { LiveVideo } from "./video.js";

const STEP = 0.005; // of the frame, per arrow key
const NEAR = 12; // px within which a click is at a corner
const CLEAN_AFTER = 8000; // ms after which the annotated view is shown if there is no clean one
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** What a shape is called: masks have numbers. */
export const titleOf = (shape) => (isNamed(shape) ? shape.name : t(`zones.masks.${shape.kind}`, { name: shape.name }));

/** What an arrow key moves by, as fractions of the frame; null for other keys. */
function arrow(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in ARROWS)) return null;
  event.preventDefault();
  return ARROWS[event.key].map((one) => one * STEP * (event.shiftKey ? 10 : 1));
}

/** What is counted in a shape now: by the server, or here while it is not saved. */
export function countOf(shape, editor, record) {
  if (!record || !isNamed(shape)) return null;
  if (isLine(shape)) {
    const line = editor.differs(shape) ? null : record.lines?.[shape.name];
    return line && t("zones.crossed", { into: line.in ?? 0, out: line.out ?? 0 });
  }
  const zone = editor.differs(shape) ? null : record.zones?.[shape.name];
  if (zone?.active === false) return t("zones.inactive");
  const count = zone ? zone.inside : standing(shape.points, record, shownDetections(record), shape.options.classes);
  return t("zones.inside", { count });
}

const position = ([x, y]) => ({ left: `${100 * x}%`, top: `${100 * y}%` });
const svgPoints = (points) => points.map(([x, y]) => `${100 * x},${100 * y}`).join(" ");

function Arrow({ points, ratio }) {
  const [from, tip] = inwards(points, ratio).map(([x, y]) => [100 * x, 100 * y]);
  const [x, y] = [(tip[0] - from[0]) * ratio, tip[1] - from[1]];
  const head = (turn) => [tip[0] - (0.35 * (x - turn * y)) / ratio, tip[1] - 0.35 * (y + turn * x)];
  return html`<polyline class="arrow" points="${from} ${tip}" /><polyline class="arrow" points="${head(1)} ${tip} ${head(-1)}" />`;
}

function Outline({ shape, ratio, selected, free }) {
  const { kind, points } = shape;
  const looks = `${kind} ${selected ? "selected" : ""} ${free ? "free" : ""} ${isPolygon(shape) && crossesItself(points) ? "crossed" : ""}`;
  return html`<g class=${looks} data-key=${shape.key}>
    ${isLine(shape) ? html`<polyline class="grip" points=${svgPoints(points)} /><polyline class="edge" points=${svgPoints(points)} /><${Arrow} points=${points} ratio=${ratio} />` : html`<polygon class="edge" points=${svgPoints(points)} />`}</g>`;
}

function Label({ shape, editor, count, free }) {
  const nudge = (event) => {
    const by = free && arrow(event);
    if (by) editor.change(shape.key, { points: moved(shape.points, by) }, `nudge ${shape.key}`);
  };
  const at = isLine(shape) ? shape.points[0] : middle(shape.points);
  return html`<button type="button" class="shape-label ${shape.kind}" data-key=${shape.key} style=${{ "--x": `${100 * at[0]}%`, top: `${100 * at[1]}%` }}
    aria-label=${[titleOf(shape), count, free ? t("zones.moveHint") : ""].filter(Boolean).join(", ")}
    onClick=${() => editor.select(shape.key)} onFocus=${() => editor.value.selected === shape.key || editor.select(shape.key)}
    onKeyDown=${nudge}>${titleOf(shape)}${count && html` <span>${count}</span>`}</button>`;
}

function Corners({ shape, editor }) {
  const { key, points } = shape;
  const place = (index, point, step) => editor.change(key, { points: points.map((one, at) => (at === index ? inFrame(point) : one)) }, step);
  const insert = (index) => editor.change(key, { points: points.toSpliced(index + 1, 0, inFrame(middle([points[index], points[(index + 1) % points.length]]))) });
  const pressed = (event, index) => {
    const by = arrow(event);
    if (by) return place(index, [points[index][0] + by[0], points[index][1] + by[1]], `key ${key} ${index}`);
    if (["Delete", "Backspace"].includes(event.key) && isPolygon(shape) && points.length > 3) {
      event.preventDefault();
      editor.change(key, { points: points.toSpliced(index, 1) });
    }
  };
  const name = (index) => (isLine(shape) ? t(index ? "zones.end" : "zones.start") : t("zones.corner", { number: index + 1 }));
  return html`${isPolygon(shape) && points.length < MOST_CORNERS && points.map((one, index) => html`<button type="button" class="corner new" data-added=${index}
      style=${position(middle([one, points[(index + 1) % points.length]]))} aria-label=${t("zones.newCorner", { number: index + 1 })} onClick=${(event) => event.detail === 0 && insert(index)}></button>`)}
    ${points.map((one, index) => html`<button type="button" class="corner" data-corner=${index} style=${position(one)}
      aria-label=${`${titleOf(shape)}, ${name(index)}: ${Math.round(100 * one[0])} %, ${Math.round(100 * one[1])} %`} onKeyDown=${(event) => pressed(event, index)}>
      ${isLine(shape) && html`<span aria-hidden="true">${index ? "B" : "A"}</span>`}</button>`)}`;
}

function Draft({ draft }) {
  const points = [...draft.points, draft.cursor];
  return html`<svg class="shapes" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true"><g class="draft ${draft.kind}"><polyline class="edge" points=${svgPoints(points)} /></g></svg>
    ${draft.points.map((one) => html`<span class="corner" style=${position(one)}></span>`)}<span class="cursor" style=${position(draft.cursor)}></span>`;
}

/** Mouse, touch and keyboard on the picture. `isFree.current(shape)` says whether a shape may be changed. */
function gestures(editor, stage, isFree) {
  let drag = null;
  const at = (event) => {
    const { left, top, width, height } = stage.current.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height];
  };
  const near = (first, second, distance = NEAR) => {
    const { width, height } = stage.current.getBoundingClientRect();
    return Boolean(second) && Math.hypot((first[0] - second[0]) * width, (first[1] - second[1]) * height) < distance;
  };
  const drawTo = (point) => {
    const { draft } = editor.value;
    if (editor.canFinish && near(point, draft.points[0])) editor.finish();
    else if (!near(point, draft.points.at(-1))) editor.addPoint(point);
  };
  const grab = (event, from) => {
    const { corner, added } = event.target.dataset;
    const ofCorner = corner !== undefined || added !== undefined;
    const key = ofCorner ? editor.value.selected : event.target.closest("[data-key]")?.dataset.key ?? null;
    if (!ofCorner) editor.select(key);
    else event.target.focus();
    const shape = editor.selected;
    if (!shape || !isFree.current(shape)) return;
    const index = ofCorner ? Number(corner ?? added) : null;
    drag = { key, points: shape.points, from, index, adds: added !== undefined, step: `drag ${event.timeStamp}`, moved: false };
  };
  const dragTo = (point) => {
    const { key, points, from, index, adds, step } = drag;
    drag.moved = true;
    if (index === null) editor.change(key, { points: moved(points, [point[0] - from[0], point[1] - from[1]]) }, step);
    else editor.change(key, { points: points.toSpliced(adds ? index + 1 : index, adds ? 0 : 1, inFrame(point)) }, step);
  };
  return {
    onPointerDown: (event) => {
      if (event.button !== 0) return;
      const point = at(event);
      if (!editor.value.draft) grab(event, point);
      else {
        event.preventDefault();
        stage.current.focus();
        drawTo(point);
      }
      if (editor.value.draft || drag) stage.current.setPointerCapture(event.pointerId);
    },
    onPointerMove: (event) => {
      const point = at(event);
      if (editor.value.draft) editor.sketch({ cursor: inFrame(point) });
      else if (drag && (drag.moved || !near(point, drag.from, 4))) dragTo(point);
    },
    onPointerUp: (event) => {
      const { draft } = editor.value;
      const point = at(event);
      if (draft && isLine(draft) && draft.points.length === 1 && !near(point, draft.points[0])) editor.addPoint(point);
      if (drag?.adds && !drag.moved) dragTo(drag.from);
      drag = null;
    },
    onPointerCancel: () => (drag = null),
    onDblClick: () => editor.canFinish && editor.finish(),
    onKeyDown: (event) => editor.value.draft && event.target === stage.current && drawByKey(event, editor),
  };
}

/** Drawing by keyboard. */
function drawByKey(event, editor) {
  const { draft } = editor.value;
  const by = arrow(event);
  if (by) return editor.sketch({ cursor: inFrame([draft.cursor[0] + by[0] * 2, draft.cursor[1] + by[1] * 2]) });
  const action = {
    " ": () => editor.addPoint(draft.cursor),
    Enter: () => editor.canFinish && editor.finish(),
    Backspace: () => editor.sketch({ points: draft.points.slice(0, -1) }),
    Escape: () => editor.sketch(null),
  }[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function DrawBar({ editor, draft }) {
  return html`<div class="draw-bar"><p role="status">${t(`zones.drawing.${isLine(draft) ? "line" : "area"}`)}</p>
    <span class="row tight">${!isLine(draft) && html`<${Button} kind="quiet" label=${t("zones.lastCorner")} icon="reset" disabled=${!draft.points.length} onClick=${() => editor.sketch({ points: draft.points.slice(0, -1) })} />
      <${Button} kind="primary" disabled=${!editor.canFinish} onClick=${() => editor.finish()}>${t("zones.finish")}<//>`}
    <${Button} onClick=${() => editor.sketch(null)}>${t("common.cancel")}<//></span></div>`;
}

/** The camera's live picture with the editor's shapes. `record` is the newest of the live results; `overlay.current` is
 * the canvas for all of them, while `boxes` are drawn; `isFree(shape)` says whether a shape may be changed. */
export function ShapeStage({ camera, editor, record, overlay, boxes, isFree }) {
  const { shapes, selected, draft } = useStore(editor);
  const stage = useRef(null);
  const canvas = useRef(null);
  const player = useRef(null);
  const free = useRef(isFree);
  free.current = isFree;
  const [view, setView] = useState("clean");
  const [video, setVideo] = useState({});
  const on = useMemo(() => gestures(editor, stage, free), [editor]);
  const shown = Boolean(video.transport);
  useEffect(() => {
    if (shown || view !== "clean") return;
    const timer = setTimeout(() => setView("annotated"), video.error && video.error !== t("video.connecting") ? 0 : CLEAN_AFTER);
    return () => clearTimeout(timer);
  }, [shown, view, video.error]);
  useEffect(() => {
    if (!boxes || view !== "clean") return;
    overlay.current = new Overlay(canvas.current, () => player.current?.state.frameAt ?? null);
    return () => {
      overlay.current.close();
      overlay.current = null;
    };
  }, [boxes, view]);
  useEffect(() => {
    if (draft) stage.current.focus();
  }, [Boolean(draft)]);
  const size = video.size ?? camera.size ?? [16, 9];
  const ratio = size[0] / size[1];
  const chosen = shapes.find((one) => one.key === selected);
  return html`<div><div class="stage zone-stage ${draft ? "drawing" : ""}" ref=${stage} tabindex="0" role="group" aria-label=${t(draft ? "zones.stageDrawing" : "zones.stage", { camera: camera.title })}
      style=${{ "--ratio": `${size[0]} / ${size[1]}`, "--width": ratio }} ...${on}>
    <div class="content"><${LiveVideo} key=${view} camera=${camera.name} view=${view} label=${t("live.picture", { camera: camera.title })} onState=${setVideo} onPlayer=${(one) => (player.current = one ?? player.current)} />
      <canvas class="overlay" ref=${canvas} aria-hidden="true"></canvas></div>
    <svg class="shapes" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
      ${shapes.map((one) => html`<${Outline} key=${one.key} shape=${one} ratio=${ratio} selected=${one.key === selected} free=${isFree(one)} />`)}</svg>
    ${!draft && shapes.map((one) => html`<${Label} key=${one.key} shape=${one} editor=${editor} count=${countOf(one, editor, record)} free=${isFree(one)} />`)}
    ${!draft && chosen && isFree(chosen) && html`<${Corners} key=${selected} shape=${chosen} editor=${editor} />`}
    ${draft && html`<${Draft} draft=${draft} />`}
    ${!shown && html`<p class="video-note">${video.error ?? t("video.connecting")}</p>`}</div>
    ${draft && html`<${DrawBar} editor=${editor} draft=${draft} />`}</div>`;
}

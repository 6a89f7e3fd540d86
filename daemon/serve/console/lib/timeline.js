// A part of a day as a line: recorded times, events and the chosen time. By mouse, finger and keyboard.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { useWidth } from "./components.js";
import { kindText } from "./events.js";
import { language, t, time } from "./i18n.js";
import { Previews } from "./previews.js";

const [HEIGHT, TOP, BAND] = [64, 8, 30];
const STEPS = [60, 300, 900, 3600, 7200, 10800, 14400];

/** The part of a day, `length` s long, that shows `at` near its middle: `[from, to]`. */
export function windowAround(at, length, [begin, end]) {
  if (length >= 86400) return [begin, end];
  const from = Math.min(Math.max(begin, at - length / 2), end - length);
  return [from, from + length];
}

function marksOf([from, to], width) {
  const step = STEPS.find((one) => ((to - from) / one) * 56 < width) ?? STEPS.at(-1);
  const zero = new Date(from * 1000).setHours(0, 0, 0, 0) / 1000;
  const first = zero + Math.ceil((from - zero) / step) * step;
  return Array.from({ length: Math.max(0, Math.ceil((to - first) / step)) }, (_, index) => first + index * step);
}

/** Whether something was recorded at a time. */
export function isRecorded(times, at) {
  return times.some(([begin, end]) => begin <= at && at < end);
}

const clock = (at) => new Date(at * 1000).toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit" });

/** Events as lines, at most one a pixel. */
function ticksOf(events, x) {
  const ticks = new Map();
  for (const event of events) ticks.set(Math.round(x(event.at)), event);
  return ticks;
}

/** A timeline of `[from, to]`, in seconds since the epoch like all times. `times` are [begin, end], `events` have `at`, `part` is the
 * marked [from, to] or null. `onSeek(at)` is called while it is dragged, `onStep(seconds)`, `onZoom(closer)` and `onPlay` by keys. */
export function Timeline({ camera, range, day, times, events, at, part, onSeek, onStep, onZoom, onPlay }) {
  const ref = useRef(null);
  const width = useWidth(ref);
  const [hover, setHover] = useState(null);
  const [from, to] = range;
  const x = (one) => ((one - from) / (to - from)) * width;
  const clipped = (one) => Math.min(width, Math.max(0, x(one)));
  const timeAt = (event) => from + ((event.clientX - ref.current.getBoundingClientRect().left) / width) * (to - from);
  const drag = (event) => {
    if (event.type === "pointerdown") event.currentTarget.setPointerCapture(event.pointerId);
    const found = Math.min(to, Math.max(from, timeAt(event)));
    if (event.pointerType === "mouse") setHover(found);
    if (event.buttons & 1) onSeek(found);
  };
  const keys = (event) => {
    const step = (to - from) / 200;
    const moves = { ArrowLeft: -step, ArrowRight: step, PageUp: 3600, PageDown: -3600 };
    if (event.key in moves) onStep(moves[event.key] * (event.shiftKey ? 10 : 1));
    else if (event.key === "Home") onSeek(times[0]?.[0] ?? day[0]);
    else if (event.key === "End") onSeek((times.at(-1)?.[1] ?? day[1]) - 1);
    else if (event.key === "+" || event.key === "-") onZoom(event.key === "+");
    else if (event.key === "Enter" || event.key === " ") onPlay();
    else return;
    event.preventDefault();
  };
  return html`<div class="timeline" ref=${ref} tabindex="0" role="slider" aria-label=${t("recordings.timeline")} aria-valuemin=${Math.floor(day[0])}
      aria-valuemax=${Math.floor(day[1])} aria-valuenow=${Math.floor(at)} aria-valuetext=${time(at)} onKeyDown=${keys} onPointerDown=${drag} onPointerMove=${drag}
      onPointerLeave=${() => setHover(null)}>
    <svg width=${width} height=${HEIGHT} viewBox="0 0 ${width} ${HEIGHT}" aria-hidden="true">
      <rect class="ground" x="0" y=${TOP} width=${width} height=${BAND} rx="4" />
      ${times.map(([begin, end]) => clipped(end) > clipped(begin) && html`<rect class="recorded" x=${clipped(begin)} y=${TOP} width=${Math.max(1, clipped(end) - clipped(begin))} height=${BAND} />`)}
      ${part && html`<rect class="part" x=${clipped(part[0])} y=${TOP} width=${Math.max(1, clipped(part[1]) - clipped(part[0]))} height=${BAND} />`}
      ${[...ticksOf(events, x)].map(([left, event]) => left >= 0 && left <= width && html`<rect class="tick" x=${left - 1} y=${TOP + 4} width="2" height=${BAND - 8}><title>${kindText(event.kind)}</title></rect>`)}
      ${marksOf(range, width).map((one) => html`<line class="mark" x1=${x(one)} x2=${x(one)} y1=${TOP + BAND} y2=${TOP + BAND + 6} />
        <text x=${Math.min(width - 54, x(one) + 3)} y=${HEIGHT - 8}>${clock(one)}</text>`)}
      ${at >= from && at <= to && html`<line class="cursor" x1=${x(at)} x2=${x(at)} y1="0" y2=${TOP + BAND + 4} />`}</svg>
    ${hover !== null && html`<${Hover} camera=${camera} times=${times} at=${hover} left=${x(hover)} width=${width} step=${(to - from) / width} />`}</div>`;
}

/** What the recording shows where the mouse is. */
function Hover({ camera, times, at, left, width, step }) {
  const [shown, set] = useState(null);
  const previews = useRef(null);
  useEffect(() => {
    previews.current = new Previews(camera, 240);
    return () => previews.current.close();
  }, [camera]);
  const grid = Math.max(1, Math.round(step * 4));
  const wanted = Math.floor(at / grid) * grid;
  useEffect(() => (isRecorded(times, wanted) ? previews.current.ask(wanted, set) : set(null)), [wanted]);
  return html`<div class="hover" style=${{ left: `${Math.min(width - 90, Math.max(90, left))}px` }} aria-hidden="true">
    ${shown?.url && html`<img src=${shown.url} alt="" />`}<span>${time(at)}</span></div>`;
}

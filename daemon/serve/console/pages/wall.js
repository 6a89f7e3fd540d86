// All cameras at once. Only tiles in view stream, and none in a hidden tab.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { Button, CameraBadges, Choice, Empty, ErrorNote, Loading, PageHead, style } from "../lib/components.js";
import { number, t } from "../lib/i18n.js";
import { useMay, useStatus } from "../lib/store.js";
import { LiveVideo, transportName } from "../lib/video.js";
import { cameraLink, link } from "../routes.js";

await style("video");

const STORED = "sightd.layout";
const LAYOUTS = { auto: "layouts", 1: "layout1", 2: "layout2", 3: "layout3" };
const GAP = 12;
const NARROW = 560;

/** Hook: how many columns show all of `count` pictures of 16:9 as large as possible in the space below `ref`. */
function useColumns(ref, count) {
  const [columns, set] = useState(1);
  useEffect(() => {
    const fit = () => {
      const { width, top } = ref.current.getBoundingClientRect();
      set(width < NARROW ? 1 : bestColumns(count, width, Math.max(300, innerHeight - top - 24)));
    };
    const observer = new ResizeObserver(fit);
    observer.observe(ref.current);
    addEventListener("resize", fit);
    fit();
    return () => {
      observer.disconnect();
      removeEventListener("resize", fit);
    };
  }, [count]);
  return columns;
}

function bestColumns(count, width, height) {
  const usable = Math.min(count, 16);
  let best = [1, 0];
  for (let columns = 1; columns <= Math.min(usable, 6); columns++) {
    const rows = Math.ceil(usable / columns);
    const tile = Math.min((width - GAP * (columns - 1)) / columns, (((height - GAP * (rows - 1)) / rows) * 16) / 9);
    if (tile > best[1] * 1.02) best = [columns, tile];
  }
  return best[0];
}

function Tile({ camera, away }) {
  const [video, setVideo] = useState({});
  const shown = video.transport !== null && video.transport !== undefined;
  return html`<article class="tile">
    <a href=${cameraLink("camera", camera.name)} aria-label=${t("live.open", { camera: camera.title })}>
      <${LiveVideo} camera=${camera.name} label=${t("live.picture", { camera: camera.title })} onState=${setVideo} /></a>
    ${!shown && html`<p class="video-note">${video.error ?? t("video.connecting")}</p>`}
    <footer><h2 title=${camera.title}>${camera.title}</h2>
      ${shown && html`<span class="dim rate" title=${t("video.rate", { transport: transportName(video.transport) })}>${number(video.fps, 0)} fps</span>`}
      <${CameraBadges} camera=${camera} away=${away} /></footer>
    ${camera.reason && !away && html`<p class="reason">${camera.reason}</p>`}</article>`;
}

function Wall({ cameras, layout, away }) {
  const ref = useRef(null);
  const fitting = useColumns(ref, cameras.length);
  const columns = layout === "auto" ? fitting : Number(layout);
  return html`<div class="wall" ref=${ref} style=${{ "--columns": columns }}>
    ${cameras.map((camera) => html`<${Tile} key=${camera.name} camera=${camera} away=${away} />`)}</div>`;
}

export default function Live() {
  const { data, error } = useStatus();
  const mayAdd = useMay("admin");
  const [layout, setLayout] = useState(localStorage.getItem(STORED) ?? "auto");
  const choose = (value) => {
    localStorage.setItem(STORED, value);
    setLayout(value);
  };
  if (!data) return error ? html`<${ErrorNote} error=${error} />` : html`<${Loading} />`;
  const { cameras } = data;
  const live = cameras.filter((one) => one.state === "live").length;
  const layouts = Object.entries(LAYOUTS).map(([value, icon]) => ({ value, icon, label: t(`live.layouts.${value}`) }));
  return html`<${PageHead} title=${t("live.title")}>
      <span class="dim">${t("live.count", { count: cameras.length })} · ${t("live.live", { count: live })}</span>
      <${Choice} label=${t("live.layout")} value=${layout} options=${layouts} onChange=${choose} />
      <${Button} kind="quiet" icon="full" label=${t("video.full")} onClick=${() => document.querySelector(".wall").requestFullscreen()} />
    <//>
    ${cameras.length
      ? html`<${Wall} cameras=${cameras} layout=${layout} away=${Boolean(error)} />`
      : html`<${Empty} icon="camera" title=${t("live.none.title")}>${
          mayAdd ? html`<a href=${link("/settings/cameras")}>${t("live.none.add")}</a>` : t("live.none.text")
        }<//>`}`;
}

// One camera, large: zoom, snapshot, boxes in the video or drawn over it, what is seen now, and its recent events.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { get, request, serverEvents, withQuery } from "../lib/api.js";
import { Button, CameraBadges, Card, Choice, Empty, ErrorNote, Icon, Loading, PageHead, style, toastError } from "../lib/components.js";
import { ago, number, t, time } from "../lib/i18n.js";
import { Overlay, liveResults, shownDetections } from "../lib/overlay.js";
import { Ptz } from "../lib/ptz.js";
import { useStatus } from "../lib/store.js";
import { LiveVideo, transportName } from "../lib/video.js";
import { Zoom } from "../lib/zoom.js";
import { cameraLink, link } from "../routes.js";

await style("video");

const STORED = "sightd.boxes";
const BOXES = ["burnt", "drawn", "none"];
const RECENT = 20;

/** Hook: the newest record of the camera's live results, at most once a second; every record goes to `onRecord`. */
function useResults(name, onRecord) {
  const [record, set] = useState(null);
  useEffect(() => {
    let newest = null;
    const forget = liveResults(name, (one) => {
      if (!newest) set(one);
      newest = one;
      onRecord(one);
    });
    const timer = setInterval(() => set(newest), 1000);
    return () => {
      clearInterval(timer);
      forget();
    };
  }, [name]);
  return record;
}

/** Hook: the newest events of the camera, newest first. */
function useEvents(name) {
  const [events, set] = useState({ data: null, error: null });
  useEffect(() => {
    const control = new AbortController();
    const load = () => get("api/v1/events", { query: { camera: name, limit: RECENT }, signal: control.signal }).then(
      (found) => set({ data: found.reverse(), error: null }),
      (error) => control.signal.aborted || set({ data: null, error }),
    );
    load();
    const forget = serverEvents(withQuery("api/v1/events/stream", { camera: name }), load);
    return () => {
      control.abort();
      forget();
    };
  }, [name]);
  return events;
}

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** What is shown, with the boxes drawn over it, at the size of the video. */
function composed(element, canvas, [width, height]) {
  const whole = Object.assign(document.createElement("canvas"), { width, height });
  const context = whole.getContext("2d");
  context.drawImage(element, 0, 0, width, height);
  context.drawImage(canvas, 0, 0, width, height);
  return new Promise((done) => whole.toBlob(done, "image/jpeg", 0.95));
}

function Facts({ camera, video }) {
  const rows = [
    ["video.transport", video.transport ? transportName(video.transport) : "–"],
    ["video.fps", video.fps ? number(video.fps) : "–"],
    [video.whole ? "video.age" : "video.latency", video.latency === null || video.latency === undefined ? "–" : `${number(video.latency, 0)} ms`],
    ["camera.size", camera.size ? `${camera.size[0]} × ${camera.size[1]}` : "–"],
    ["camera.cameraFps", number(camera.fps)],
    ["camera.chain", camera.chain.join(" → ") || "–"],
    ["camera.encoder", camera.encoder],
    ["camera.rtsp", camera.rtsp ? html`<code>${camera.rtsp}</code>` : "–"],
  ];
  return html`<${Card} title=${t("camera.facts")}><dl class="figures">${rows.map(([key, value]) => html`<div><dt>${t(key)}</dt><dd>${value}</dd></div>`)}</dl><//>`;
}

function counts(record) {
  const found = new Map();
  for (const one of record ? shownDetections(record) : []) found.set(one.class, (found.get(one.class) ?? 0) + 1);
  return [...found].sort((first, second) => second[1] - first[1]);
}

function Now({ record }) {
  const classes = counts(record);
  const zones = Object.entries(record?.zones ?? {});
  const lines = Object.entries(record?.lines ?? {});
  const people = [...new Set((record?.faces ?? []).map((one) => one.identity).filter(Boolean))];
  return html`<${Card} title=${t("camera.now")}>
    ${!classes.length && !zones.length && !lines.length && html`<p class="dim">${t(record ? "camera.nothing" : "camera.noAnalysis")}</p>`}
    <ul class="counts">${classes.map(([name, count]) => html`<li><strong>${count}</strong> ${name}</li>`)}
      ${people.map((name) => html`<li>${name}</li>`)}</ul>
    ${(zones.length > 0 || lines.length > 0) && html`<dl class="facts">
      ${zones.map(([name, zone]) => html`<dt>${name}</dt><dd>${t("camera.inside", { count: zone.inside ?? 0 })}</dd>`)}
      ${lines.map(([name, line]) => html`<dt>${name}</dt><dd>${Object.entries(line).filter(([, value]) => typeof value === "number").map(([key, value]) => `${key} ${value}`).join(", ")}</dd>`)}</dl>`}<//>`;
}

function Events({ name }) {
  const { data, error } = useEvents(name);
  return html`<${Card} title=${t("camera.events")} actions=${html`<a href=${link(`/events?camera=${encodeURIComponent(name)}`)}>${t("camera.allEvents")}</a>`}>
    ${error && html`<${ErrorNote} error=${error} />`}
    ${data && !data.length && html`<p class="dim">${t("camera.noEvents")}</p>`}
    ${data && html`<ul class="events">${data.map((event) => html`<li key=${event.id}>
      ${event.snapshot && html`<img src=${event.snapshot.slice(1)} alt="" loading="lazy" width="64" height="36" />`}
      <span><strong>${event.kind}</strong> ${[event.person, event.zone, event.line, event.class].filter(Boolean).join(" · ")}</span>
      <time datetime=${event.time} title=${time(event.time)}>${ago(event.time)}</time></li>`)}</ul>`}<//>`;
}

function Stage({ camera, boxes, video, setVideo, overlay, tools }) {
  const stage = useRef(null);
  const content = useRef(null);
  const canvas = useRef(null);
  const player = useRef(null);
  const [scale, setScale] = useState(1);
  useEffect(() => {
    const zoom = new Zoom(stage.current, content.current, setScale);
    tools.current = { zoom, stage: stage.current, canvas: canvas.current, player };
    return () => zoom.close();
  }, []);
  useEffect(() => {
    if (boxes !== "drawn") return;
    overlay.current = new Overlay(canvas.current, () => player.current?.state.frameAt ?? null);
    return () => {
      overlay.current.close();
      overlay.current = null;
    };
  }, [boxes]);
  const size = video.size ?? camera.size ?? [16, 9];
  const shown = video.transport !== null && video.transport !== undefined;
  return html`<div class="stage" ref=${stage} tabindex="0" role="group" aria-label=${t("camera.stage", { camera: camera.title })}
      style=${{ "--ratio": `${size[0]} / ${size[1]}`, "--width": size[0] / size[1] }}>
    <div class="content" ref=${content}>
      <${LiveVideo} key=${boxes === "burnt" ? "annotated" : "clean"} camera=${camera.name} view=${boxes === "burnt" ? "annotated" : "clean"}
        label=${t("live.picture", { camera: camera.title })} onState=${setVideo} onPlayer=${(one) => (player.current = one ?? player.current)} />
      <canvas class="overlay" ref=${canvas} aria-hidden="true"></canvas></div>
    ${!shown && html`<p class="video-note">${video.error ?? t("video.connecting")}</p>`}
    ${scale > 1 && html`<span class="badge scale">${number(scale)}×</span>`}</div>`;
}

export default function Camera({ name }) {
  const { data, error } = useStatus();
  if (!data) return error ? html`<${ErrorNote} error=${error} />` : html`<${Loading} />`;
  const camera = data.cameras.find((one) => one.name === name);
  if (camera) return html`<${Known} key=${name} camera=${camera} away=${Boolean(error)} />`;
  return html`<${PageHead} title=${name} back=${link("/")} /><${Empty} icon="camera">${t("camera.unknown", { name })}<//>`;
}

function Known({ camera, away }) {
  const { name } = camera;
  const [boxes, setBoxes] = useState(localStorage.getItem(STORED) ?? "burnt");
  const [video, setVideo] = useState({});
  const overlay = useRef(null);
  const tools = useRef(null);
  const record = useResults(name, (one) => overlay.current?.add(one));
  const choose = (value) => {
    localStorage.setItem(STORED, value);
    setBoxes(value);
  };
  const snapshot = async () => {
    const { canvas, player } = tools.current;
    const still = boxes === "burnt" || !player.current?.element;
    const blob = still ? await (await request("GET", `${encodeURIComponent(name)}.jpg`)).blob() : await composed(player.current.element, canvas, video.size);
    download(blob, `${name}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.jpg`);
  };
  const full = () => (document.fullscreenElement ? document.exitFullscreen() : tools.current.stage.requestFullscreen()).catch(toastError);
  return html`<${PageHead} title=${camera.title} back=${link("/")}>
      <${CameraBadges} camera=${camera} away=${away} />
      <${Choice} label=${t("camera.boxes")} value=${boxes} onChange=${choose} options=${BOXES.map((value) => ({ value, label: t(`camera.boxesAs.${value}`) }))} />
      <a class="button quiet square" href=${cameraLink("zones", name)} aria-label=${t("camera.zones")} title=${t("camera.zones")}><${Icon} name="zones" /></a>
      <span class="row tight"><${Button} kind="quiet" icon="minus" label=${t("camera.farther")} onClick=${() => tools.current.zoom.farther()} />
        <${Button} kind="quiet" icon="plus" label=${t("camera.closer")} onClick=${() => tools.current.zoom.closer()} />
        <${Button} kind="quiet" icon="reset" label=${t("camera.reset")} onClick=${() => tools.current.zoom.reset()} />
        <${Button} kind="quiet" icon="photo" label=${t("camera.snapshot")} onClick=${snapshot} />
        <${Button} kind="quiet" icon="full" label=${t("video.full")} onClick=${full} /></span>
    <//>
    ${camera.reason && html`<p class="note warn">${camera.reason}</p>`}
    <div class="camera-page">
      <div class="stack"><${Stage} camera=${camera} boxes=${boxes} video=${video} setVideo=${setVideo} overlay=${overlay} tools=${tools} />
        <${Facts} camera=${camera} video=${video} /></div>
      <div class="stack">${camera.ptz && html`<${Ptz} name=${name} />`}<${Now} record=${record} /><${Events} name=${name} /></div></div>`;
}

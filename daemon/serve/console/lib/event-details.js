// One event in a dialog: its pictures, its clip, what is known about it, and what may be done with the clip.

import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { get, request, send } from "./api.js";
import { Badge, Button, Choice, Dialog, ErrorNote, Icon, Loading, confirmed, toast, useLoaded } from "./components.js";
import { factText, kindText, media } from "./events.js";
import { bytes, dateTime, duration, t } from "./i18n.js";
import { useMay } from "./store.js";
import { cameraLink, link } from "../routes.js";

const SHOWN = new Set(["zone", "line", "class", "track", "person", "score", "rules", "box"]);

/** A dialog with the event of an id; `list` is what its neighbours are taken from, `show(id)` opens another one, or none
 * if the id is empty. */
export function EventDetails({ number, list, titles, show }) {
  const { data: event, error } = useLoaded((signal) => get(`api/v1/events/${number}`, { signal }), [number]);
  const at = list.findIndex((one) => one.id === number);
  const [later, earlier] = at < 0 ? [] : [list[at - 1], list[at + 1]];
  const neighbour = (one, icon, label) => html`<${Button} icon=${icon} label=${label} disabled=${!one} onClick=${() => show(one.id)} />`;
  return html`<${Dialog} class="wide" title=${event ? kindText(event.kind) : t("events.event", { id: String(number) })} onClose=${() => show("")}
      actions=${html`${neighbour(earlier, "back", t("events.earlier"))}${neighbour(later, "forward", t("events.later"))}`}>
    ${error ? html`<${ErrorNote} error=${error} />` : event ? html`<${Known} event=${event} titles=${titles} show=${show} />` : html`<${Loading} />`}<//>`;
}

function Known({ event, titles, show }) {
  const views = ["snapshot", "clean_snapshot", "clip"].filter((name) => event[name]);
  const [view, setView] = useState(views.includes("clip") && views.length === 1 ? "clip" : views[0]);
  return html`<div class="event-details">
    ${views.length > 0 && html`<div class="stack">
      ${views.length > 1 && html`<${Choice} label=${t("events.view")} value=${view} onChange=${setView} options=${views.map((value) => ({ value, label: t(`events.views.${value}`) }))} />`}
      ${view === "clip" ? html`<${Clip} event=${event} />` : html`<${Picture} key=${view} path=${media(event[view])} />`}</div>`}
    <div class="stack"><${Facts} event=${event} titles=${titles} /><${Related} event=${event} show=${show} />
      ${event.clip && html`<${Recording} event=${event} />`}</div></div>`;
}

/** A picture, or why there is none. */
function Picture({ path }) {
  const [error, setError] = useState(null);
  const failed = () => request("GET", path).then(() => setError(new Error(t("events.noPicture"))), setError);
  if (error) return html`<${ErrorNote} error=${error} retry=${() => setError(null)} />`;
  return html`<a href=${path} target="_blank" rel="noopener"><img class="large" src=${path} alt=${t("events.picture")} onError=${failed} /></a>`;
}

/** The clip, or why there is none. One that is being recorded is asked for again. */
function Clip({ event }) {
  const [error, setError] = useState(null);
  const path = media(event.clip);
  const failed = () => request("HEAD", path).then(() => setError(new Error(t("events.unplayable"))), () => get(path).catch(setError));
  useEffect(() => {
    if (error?.status !== 409) return;
    const timer = setTimeout(() => setError(null), 5000);
    return () => clearTimeout(timer);
  }, [error]);
  if (error) return html`<div class="note"><p>${error.message}</p><${Button} onClick=${() => setError(null)}>${t("common.retry")}<//></div>`;
  return html`<video class="large" src=${path} controls autoplay muted playsinline onError=${failed} aria-label=${t("events.views.clip")}></video>`;
}

function Facts({ event, titles }) {
  const rows = [
    [t("common.time"), html`<time datetime=${event.time}>${dateTime(event.time)}</time>`],
    event.camera && [t("common.camera"), html`<a href=${cameraLink("camera", event.camera)}>${titles[event.camera] ?? event.camera}</a>`],
    ...["person", "class", "zone", "line", "track", "score", "plugin"].filter((name) => event[name] !== null).map((name) => [t(`events.fields.${name}`), factText(event[name])]),
    event.facts.rules?.length && [t("events.fields.rules"), event.facts.rules.join(", ")],
    ...Object.entries(event.facts).filter(([name, value]) => !SHOWN.has(name) && value !== null).map(([name, value]) => [html`<code>${name}</code>`, factText(value)]),
    [t("common.kind"), html`<code>${event.kind}</code> ${event.phase !== "once" && html`<${Badge}>${t(`events.phases.${event.phase}`)}<//>`}`],
  ].filter(Boolean);
  return html`<dl class="facts">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

/** Links to the beginning, to what followed, and to the recording of that time. */
function Related({ event, show }) {
  const first = event.began ?? (event.phase === "began" ? event.id : null);
  const { data } = useLoaded((signal) => (first ? get("api/v1/events", { query: { began: first, limit: 20 }, signal }) : Promise.resolve([])), [first]);
  const others = (data ?? []).filter((one) => one.id !== event.id);
  const seconds = Math.floor(Date.parse(event.time) / 1000);
  return html`<div class="row">
    ${event.began && html`<${Button} icon="back" onClick=${() => show(event.began)}>${t("events.beginning")}<//>`}
    ${others.map((one) => html`<${Button} key=${one.id} icon="forward" onClick=${() => show(one.id)}>${t(`events.follow.${one.phase === "ended" ? "ended" : "updated"}`)}<//>`)}
    ${event.camera && html`<a class="button" href=${link(`/recordings/${encodeURIComponent(event.camera)}?at=${seconds}`)}><${Icon} name="recordings" />${t("events.recording")}</a>`}</div>`;
}

/** What the clip is, and what the role may do with it. */
function Recording({ event }) {
  const { data, reload } = useLoaded((signal) => get("api/v1/clips", { query: { event: event.id }, signal }), [event.id]);
  const [operate, admin] = [useMay("operate"), useMay("admin")];
  const clip = data?.[0];
  if (!clip) return null;
  const protect = async () => {
    await send("POST", `api/v1/clips/${clip.id}/${clip.protected ? "unprotect" : "protect"}`);
    reload();
  };
  const remove = async () => {
    if (!(await confirmed({ title: t("events.deleteClip"), text: t("events.deleteText", { camera: clip.camera, time: dateTime(clip.begin) }), action: t("common.remove") }))) return;
    await send("DELETE", `api/v1/clips/${clip.id}`);
    toast(t("events.deleted"), "good");
    reload();
  };
  return html`<div class="stack"><p class="dim">${t("events.clipFacts", { length: duration((Date.parse(clip.end) - Date.parse(clip.begin)) / 1000), size: bytes(clip.size), count: clip.events.length })}
      ${clip.protected && html` <${Badge} tone="good">${t("events.protected")}<//>`}</p>
    <div class="row"><a class="button" href=${media(clip.video)} download="${clip.camera}-${event.id}.mp4"><${Icon} name="download" />${t("events.download")}</a>
      ${operate && html`<${Button} onClick=${protect}>${t(clip.protected ? "events.unprotect" : "events.protect")}<//>`}
      ${admin && !clip.protected && html`<${Button} kind="danger" icon="trash" onClick=${remove}>${t("events.deleteClip")}<//>`}</div></div>`;
}

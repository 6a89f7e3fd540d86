// A camera's day: what was recorded and what happened, on a line to look for a time in; played from there, saved and protected.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { get, onVisibility, send } from "../lib/api.js";
import { Button, Card, Choice, Empty, ErrorNote, Field, Icon, Loading, PageHead, Select, Toggle, style, toast, toastError, useLoaded } from "../lib/components.js";
import { kindText, localText, localTime, media, subject } from "../lib/events.js";
import { dateTime, duration, t, time } from "../lib/i18n.js";
import { Playback, recordingPath } from "../lib/playback.js";
import { Previews } from "../lib/previews.js";
import { useQuery } from "../lib/query.js";
import { useMay, useStatus } from "../lib/store.js";
import { Timeline, isRecorded, windowAround } from "../lib/timeline.js";
import { cameraLink, link } from "../routes.js";

await style("recordings");

const LENGTHS = [86400, 21600, 3600, 600];
const MOST = 1000;
const REFRESH = 60_000;
const now = () => Date.now() / 1000;

/** Begin and end of the local day of a time; days at the change of clocks have 23 or 25 hours. */
function dayAround(at) {
  const date = new Date(at * 1000);
  const [year, month, day] = [date.getFullYear(), date.getMonth(), date.getDate()];
  return [new Date(year, month, day) / 1000, new Date(year, month, day + 1) / 1000];
}

async function loadDay(camera, [since, until], signal) {
  const { times } = await get(`api/v1/recordings/${encodeURIComponent(camera)}/times`, { query: { since, until }, signal });
  const events = await get("api/v1/events", { query: { camera, since, until, limit: MOST }, signal });
  return {
    times: times.map((one) => [Date.parse(one.begin) / 1000, Date.parse(one.end) / 1000]),
    events: events.map((one) => ({ ...one, at: Date.parse(one.time) / 1000 })).sort((first, second) => first.at - second.at),
  };
}

/** Hook: times and events of a day; those of today again every minute while the tab is visible. */
function useDay(camera, day) {
  const loaded = useLoaded((signal) => loadDay(camera, day, signal), [camera, day[0]]);
  useEffect(() => {
    const today = () => document.visibilityState === "visible" && day[1] > now();
    const timer = setInterval(() => today() && loaded.reload(), REFRESH);
    return () => clearInterval(timer);
  }, [camera, day[0]]);
  return loaded;
}

export default function Recordings({ name }) {
  const { data, error } = useStatus();
  if (!data) return error ? html`<${ErrorNote} error=${error} />` : html`<${Loading} />`;
  const { cameras } = data;
  const chosen = name ?? cameras[0]?.name;
  if (!chosen) return html`<${PageHead} title=${t("recordings.title")} /><${Empty} icon="recordings">${t("recordings.noCamera")}<//>`;
  return html`<${Camera} key=${chosen} name=${chosen} cameras=${cameras} />`;
}

function Camera({ name, cameras }) {
  const [query, change] = useQuery();
  const [chosen, setAt] = useState(() => Number(query.at) || null);
  const at = chosen ?? now();
  const day = dayAround(at);
  const { data, error, reload } = useDay(name, day);
  useEffect(() => {
    if (Number(query.at) && Math.abs(Number(query.at) - at) >= 1) setAt(Number(query.at));
  }, [query.at]);
  useEffect(() => {
    if (chosen === null) return;
    const timer = setTimeout(() => change({ at: String(Math.floor(chosen)) }), 400);
    return () => clearTimeout(timer);
  }, [chosen && Math.floor(chosen)]);
  useEffect(() => {
    if (data && chosen === null) setAt(data.times.length ? Math.max(data.times[0][0], data.times.at(-1)[1] - 10) : at); // what is newest
  }, [data]);
  const title = cameras.find((one) => one.name === name)?.title ?? name;
  const options = [...new Set([...cameras.map((one) => one.name), name])].map((one) => [one, cameras.find((known) => known.name === one)?.title ?? one]);
  const move = (days) => setAt(new Date(at * 1000).setDate(new Date(at * 1000).getDate() + days) / 1000);
  const off = error?.status === 404;
  return html`<${PageHead} title=${t("recordings.title")}>
      <${Select} class="inline" label=${t("common.camera")} value=${name} options=${options} onChange=${(one) => (location.hash = cameraLink("recordings", one))} />
      <span class="row tight"><${Button} kind="quiet" icon="back" label=${t("recordings.before")} onClick=${() => move(-1)} />
        <${Field} class="inline" label=${t("recordings.day")} type="date" required value=${localText(day[0]).slice(0, 10)} onInput=${(value) => localTime(`${value}T12:00`) && setAt(localTime(`${value}T12:00`))} />
        <${Button} kind="quiet" icon="forward" label=${t("recordings.after")} disabled=${day[1] > now()} onClick=${() => move(1)} /></span><//>
    ${error && !off && html`<${ErrorNote} error=${error} retry=${reload} />`}
    ${off && html`<${Empty} icon="recordings" title=${t("recordings.none.title")}>${t("recordings.none.text")}<//>`}
    ${!data && !error && html`<${Loading} />`}
    ${data && chosen !== null && html`<${Day} name=${name} title=${title} day=${day} data=${data} at=${at} setAt=${setAt} />`}`;
}

function Day({ name, title, day, data, at, setAt }) {
  const [length, setLength] = useState(86400);
  const [range, setRange] = useState(day);
  const [part, setPart] = useState({ from: null, to: null });
  const player = usePlayer(name, data.times, setAt);
  useEffect(() => setRange((before) => (length < 86400 && before[0] >= day[0] && before[1] <= day[1] && at >= before[0] && at <= before[1] && before[1] - before[0] === length ? before : windowAround(at, length, day))), [length, day[0], Math.floor(at)]);
  const seek = (one) => {
    const found = Math.min(day[1] - 1, Math.max(day[0], one));
    setAt(found);
    player.seek(found);
  };
  const zoom = (closer) => setLength(LENGTHS[Math.min(LENGTHS.length - 1, Math.max(0, LENGTHS.indexOf(length) + (closer ? 1 : -1)))]);
  const toggle = () => (player.playing ? player.stop() : player.play(at));
  const earlier = data.events.findLast((one) => one.at < at - 1);
  const later = data.events.find((one) => one.at > at + 1);
  const marked = part.from !== null && part.to !== null && part.from < part.to ? [part.from, part.to] : null;
  return html`<div class="recordings-page">
    <div class="stack">
      <${Screen} name=${name} title=${title} times=${data.times} at=${at} player=${player} />
      <div class="row"><${Button} kind="primary" icon=${player.playing ? "pause" : "play"} disabled=${!data.times.length} onClick=${toggle}>${t(player.playing ? "recordings.pause" : "recordings.play")}<//>
        <${Button} icon="back" label=${t("recordings.previousEvent")} disabled=${!earlier} onClick=${() => seek(earlier.at - 2)} />
        <${Button} icon="forward" label=${t("recordings.nextEvent")} disabled=${!later} onClick=${() => seek(later.at)} />
        <strong class="clock">${dateTime(at)}</strong>
        <${Choice} label=${t("recordings.speed")} value=${player.speed} onChange=${player.setSpeed} options=${[1, 2, 4].map((factor) => ({ value: factor, label: t("recordings.times", { factor }) }))} />
        <${Toggle} label=${t("recordings.sound")} checked=${player.sound} onChange=${player.setSound} />
        <${Choice} label=${t("recordings.window")} value=${length} onChange=${setLength} options=${LENGTHS.map((value) => ({ value, label: t(`recordings.windows.${value}`) }))} /></div>
      <${Timeline} camera=${name} range=${range} day=${day} times=${data.times} events=${data.events} at=${at} part=${marked}
        onSeek=${seek} onStep=${(seconds) => seek(at + seconds)} onZoom=${zoom} onPlay=${toggle} />
      ${!data.times.length && html`<p class="note">${t("recordings.none.day")}</p>`}
      <${Keep} name=${name} at=${at} part=${part} setPart=${setPart} /></div>
    <${Events} events=${data.events} range=${range} at=${at} seek=${seek} /></div>`;
}

/** Hook: plays the recording into `ref`, and keeps what the buttons show. */
function usePlayer(name, times, setAt) {
  const ref = useRef(null);
  const playback = useRef(null);
  const [playing, setPlaying] = useState(false);
  const [speed, setSpeed] = useState(1);
  const [sound, setSound] = useState(false);
  const stop = () => {
    playback.current?.close();
    playback.current = null;
    setPlaying(false);
  };
  const play = (at) => {
    stop();
    const ended = (error) => {
      stop();
      if (error) toastError(error.message ? error : new Error(t("recordings.unplayable")));
    };
    setPlaying(true);
    playback.current = new Playback(ref.current, name, times, setAt, ended);
    playback.current.play(at);
  };
  useEffect(() => {
    const forget = onVisibility((visible) => visible || stop());
    return () => {
      forget();
      stop();
    };
  }, []);
  useEffect(() => {
    if (ref.current) ref.current.playbackRate = ref.current.defaultPlaybackRate = speed;
    if (ref.current) ref.current.muted = !sound;
  }, [speed, sound]);
  return { ref, playing, speed, sound, play, stop, setSpeed, setSound, seek: stop };
}

/** The video while it plays, otherwise the picture of the chosen time. */
function Screen({ name, title, times, at, player }) {
  const [shown, set] = useState(null);
  const previews = useRef(null);
  const wanted = Math.max(Math.floor(at), Math.ceil(times.find(([begin, end]) => begin <= at && at < end)?.[0] ?? 0));
  const recorded = isRecorded(times, wanted);
  useEffect(() => {
    previews.current = new Previews(name, 1280);
    return () => previews.current.close();
  }, [name]);
  useEffect(() => {
    if (player.playing) return;
    if (recorded) previews.current.ask(wanted, set);
    else set({ url: null });
  }, [wanted, recorded, player.playing]);
  const full = () => player.ref.current.parentElement.requestFullscreen().catch(toastError);
  return html`<div class="screen"><video ref=${player.ref} muted playsinline hidden=${!player.playing} aria-label=${t("recordings.video", { camera: title })}></video>
    ${!player.playing && shown?.url && html`<img src=${shown.url} alt=${t("recordings.preview", { time: dateTime(shown.shown) })} />`}
    ${!player.playing && shown && !shown.url && html`<p>${t("recordings.noPreview")}</p>`}
    <${Button} class="corner" icon="full" label=${t("recordings.full")} onClick=${full} /></div>`;
}

/** Downloads and protects a part of the recording. */
function Keep({ name, at, part, setPart }) {
  const operate = useMay("operate");
  const { from, to } = part;
  const complete = from !== null && to !== null;
  const valid = complete && from < to && to - from <= 86400;
  const field = (key) => html`<${Field} label=${t(`recordings.${key}`)} type="datetime-local" step="1" value=${part[key] === null ? "" : localText(part[key])}
    error=${key === "to" && complete && !valid ? t("recordings.order") : undefined} onInput=${(value) => setPart({ ...part, [key]: localTime(value) })} />
    <${Button} onClick=${() => setPart({ ...part, [key]: Math.floor(at) })}>${t(`recordings.${key}Here`)}<//>`;
  const protect = async (on) => {
    const segments = await segmentsOf(name, from, to);
    for (const { id } of segments) await send("POST", `api/v1/clips/${id}/${on ? "protect" : "unprotect"}`);
    toast(t(on ? "recordings.protected" : "recordings.unprotected", { count: segments.length }), "good");
  };
  return html`<${Card} title=${t("recordings.keep")}><div class="row keep">${field("from")}${field("to")}</div>
    ${valid && html`<div class="row"><a class="button primary" href=${recordingPath(name, from, to)} download="${name}-${localText(from).replaceAll(":", "")}.mp4"><${Icon} name="download" />${t("recordings.download")}</a>
      ${operate && html`<${Button} onClick=${() => protect(true)}>${t("recordings.protect")}<//><${Button} onClick=${() => protect(false)}>${t("recordings.unprotect")}<//>`}
      <span class="dim">${duration(to - from)}</span></div>`}<//>`;
}

async function segmentsOf(camera, since, until) {
  const found = [];
  let page;
  do {
    page = await get("api/v1/clips", { query: { kind: "segment", camera, since, until, before: found.at(-1)?.id, limit: MOST } });
    found.push(...page);
  } while (page.length === MOST);
  return found;
}

function Events({ events, range, at, seek }) {
  const shown = events.filter((one) => one.at >= range[0] && one.at < range[1]).reverse();
  const current = events.findLast((one) => one.at <= at + 1);
  return html`<${Card} title=${t("recordings.events")} class="day-events">
    ${events.length === MOST && html`<p class="dim">${t("recordings.eventsCut")}</p>`}
    ${!shown.length && html`<p class="dim">${t("recordings.noEvents")}</p>`}
    <ul>${shown.map((one) => html`<li key=${one.id} class=${one === current ? "current" : ""}>
      <button type="button" onClick=${() => seek(one.at)} aria-current=${one === current ? "true" : undefined}>
        ${one.snapshot && html`<img src=${media(one.snapshot)} alt="" loading="lazy" width="64" height="36" />`}
        <span><strong>${kindText(one.kind)}</strong> ${subject(one)}</span><time datetime=${one.time}>${time(one.time)}</time></button>
      <a href=${link(`/events?period=all&event=${one.id}`)} aria-label="${t("recordings.details")}: ${kindText(one.kind)}, ${time(one.time)}" title=${t("recordings.details")}><${Icon} name="forward" /></a></li>`)}</ul><//>`;
}

// What happened: events as they happen, filters kept in the address, counts per hour, and one event with its pictures and clip.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { get, withQuery } from "../lib/api.js";
import { Button, Card, Empty, ErrorNote, Field, Icon, Loading, PageHead, Select, style, useLoaded, useWidth } from "../lib/components.js";
import { EventDetails } from "../lib/event-details.js";
import { FIELDS, PERIODS, fieldsOf, filterKey, filterOf, isCustom, kindText, localText, media, span, subject, useEventList } from "../lib/events.js";
import { ago, dateTime, language, number, t, time } from "../lib/i18n.js";
import { useQuery } from "../lib/query.js";
import { useStatus } from "../lib/store.js";

await style("events");

const COUNTED = ["kind", "zone", "line", "class", "person"];
const PHASES = ["once", "began", "updated", "ended"];
const WEEK = 7 * 86400;
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The values that fields have had lately: `{kind: [...], zone: [...]}`. One after the other, as few queries run at a time. */
async function loadValues(signal) {
  const since = Math.floor(Date.now() / 1000 - WEEK);
  const found = {};
  for (const by of COUNTED) {
    const { counts } = await get("api/v1/events/statistics", { query: { since, by }, signal });
    found[by] = counts.map((one) => one[by]).filter(Boolean).sort();
  }
  return found;
}

function optionsOf(values, chosen, text = (one) => one) {
  const all = chosen && !values.includes(chosen) ? [chosen, ...values] : values;
  return [["", t("common.all")], ...all.map((one) => [one, text(one)])];
}

/** Kinds, and patterns of those that begin alike. */
function kindsOf(kinds) {
  const groups = new Map();
  for (const kind of kinds) groups.set(kind.split(".")[0], (groups.get(kind.split(".")[0]) ?? 0) + 1);
  return [...[...groups].filter(([, count]) => count > 1).map(([name]) => `${name}.*`), ...kinds];
}

const kindOption = (kind) => (kind.includes("*") ? t("events.allOf", { group: kind.replace(".*", "") }) : kindText(kind));

function Filters({ query, change }) {
  const { data: status } = useStatus();
  const { data: values } = useLoaded(loadValues, []);
  const cameras = status?.cameras.map((one) => one.name) ?? [];
  const titles = Object.fromEntries(status?.cameras.map((one) => [one.name, one.title]) ?? []);
  const select = (name, options, text) => (options.length > 0 || query[name]) && html`<${Select} label=${t(`events.fields.${name}`)} value=${query[name] ?? ""}
    options=${optionsOf(options, query[name], text)} onChange=${(value) => change({ [name]: value })} />`;
  const used = [...FIELDS, "text", "period"].some((name) => query[name]);
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
    <${Select} label=${t("events.period")} value=${query.period ?? "24h"} options=${[...Object.keys(PERIODS), "custom"].map((one) => [one, t(`events.periods.${one}`)])}
      onChange=${(period) => change(period === "custom" ? customOf(query) : { period: period === "24h" ? "" : period, since: "", until: "" })} />
    ${isCustom(query) && ["since", "until"].map((name) => html`<${Field} label=${t(`events.${name}`)} type="datetime-local" step="1" value=${query[name] ?? ""}
      onInput=${(value) => change({ [name]: value })} />`)}
    ${select("camera", cameras, (name) => titles[name] ?? name)}${select("kind", kindsOf(values?.kind ?? []), kindOption)}
    ${["zone", "line", "class", "person"].map((name) => select(name, values?.[name] ?? []))}
    ${select("phase", PHASES, (phase) => t(`events.phases.${phase}`))}
    <${Search} value=${query.text ?? ""} change=${(text) => change({ text })} />
    ${used && html`<${Button} kind="quiet" icon="close" onClick=${() => change(Object.fromEntries([...FIELDS, "text", "period", "since", "until"].map((name) => [name, ""])))}>${t("events.reset")}<//>`}
  </form>`;
}

function customOf(query) {
  const { since } = span(query);
  return { period: "custom", since: since === null ? "" : localText(since), until: "" };
}

/** Searches when typing pauses: each search reads many events. */
function Search({ value, change }) {
  const [text, set] = useState(value);
  useEffect(() => set(value), [value]);
  useEffect(() => {
    if (text === value) return;
    const timer = setTimeout(() => change(text), 500);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<${Field} label=${t("events.text")} type="search" maxlength="200" value=${text} onInput=${set} />`;
}

function Exports({ query }) {
  return ["csv", "jsonl"].map((format) => html`<a class="button" download="events.${format}"
    href=${withQuery("api/v1/events/export", { ...filterOf(query), format })}><${Icon} name="download" />${t("events.export", { format: format.toUpperCase() })}</a>`);
}

/** Counts per hour, or per day of a longer time. A bar, or its row in the table, shows the events of that time. */
function Counts({ query, change, newest }) {
  const { since, until } = span(query);
  const from = since ?? Date.now() / 1000 - 30 * 86400;
  const per = (until ?? Date.now() / 1000) - from > WEEK * 1.05 ? "day" : "hour";
  const load = (signal) => get("api/v1/events/statistics", { query: { ...filterOf(query), since: from, per, timezone: ZONE }, signal });
  const { data, error, reload } = useLoaded(load, [filterKey(query)]);
  useEffect(() => {
    if (newest === undefined) return;
    const timer = setTimeout(reload, 2000); // counts follow what happens, without a query for each event
    return () => clearTimeout(timer);
  }, [newest]);
  if (error) return html`<${ErrorNote} error=${error} retry=${reload} />`;
  if (!data?.counts.length) return null;
  const length = per === "hour" ? 3600 : 86400;
  const show = (at) => change({ period: "custom", since: localText(at), until: localText(at + length) });
  return html`<${Card} title=${t(`events.per.${per}`)} actions=${html`<span class="dim">${t("events.total", { count: data.counts.reduce((sum, one) => sum + one.count, 0) })}</span>`}>
    <${Bars} data=${data} length=${length} per=${per} show=${show} />
    <details><summary>${t("events.table")}</summary><div class="counted">${data.counts.map((one) => html`<button type="button" key=${one.time}
      onClick=${() => show(secondsOf(one.time))}>${periodText(secondsOf(one.time), per)}<strong>${number(one.count)}</strong></button>`)}</div></details><//>`;
}

const secondsOf = (text) => Date.parse(text) / 1000;

function periodText(at, per) {
  const options = per === "hour" ? { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" } : { weekday: "short", day: "numeric", month: "short" };
  return new Date(at * 1000).toLocaleString(language(), options);
}

const [HEIGHT, LEFT, FOOT] = [110, 36, 18];

function Bars({ data, length, per, show }) {
  const ref = useRef(null);
  const width = useWidth(ref);
  const [since, until] = [secondsOf(data.since), secondsOf(data.until)];
  const most = Math.max(...data.counts.map((one) => one.count));
  const x = (at) => LEFT + ((width - LEFT) * (at - since)) / (until - since);
  const height = (count) => ((HEIGHT - FOOT - 8) * count) / most;
  const steps = Math.max(1, Math.ceil((until - since) / length / ((width - LEFT) / 120))) * length;
  const marks = Array.from({ length: Math.max(1, Math.floor((until - since) / steps)) }, (_, index) => since + index * steps);
  const peak = data.counts.find((one) => one.count === most);
  const label = t("events.chart", { most, when: periodText(secondsOf(peak.time), per) });
  return html`<div ref=${ref}><svg class="bars" width=${width} height=${HEIGHT} viewBox="0 0 ${width} ${HEIGHT}" role="img" aria-label=${label}>
    <line x1=${LEFT} x2=${width} y1=${HEIGHT - FOOT} y2=${HEIGHT - FOOT} />
    <text x=${LEFT - 6} y="12" class="end">${number(most)}</text><text x=${LEFT - 6} y=${HEIGHT - FOOT} class="end">0</text>
    ${marks.map((at) => html`<text x=${x(at) + 2} y=${HEIGHT - 4}>${periodText(at, per)}</text>`)}
    ${data.counts.map((one) => {
      const at = secondsOf(one.time);
      return html`<rect key=${one.time} x=${x(at) + 0.5} width=${Math.max(1.5, x(at + length) - x(at) - 1)} y=${HEIGHT - FOOT - height(one.count)} height=${height(one.count)}
        onClick=${() => show(at)}><title>${periodText(at, per)}: ${number(one.count)}</title></rect>`;
    })}</svg></div>`;
}

function dayOf(event) {
  return new Date(event.time).toLocaleDateString(language(), { dateStyle: "full" });
}

function Row({ event, title, open }) {
  return html`<li><button type="button" class="event" onClick=${() => open(event.id)}>
    <span class="thumb">${event.snapshot ? html`<img src=${media(event.snapshot)} alt="" loading="lazy" width="112" height="63" onError=${(one) => one.target.remove()} />` : html`<${Icon} name=${event.camera ? "camera" : "system"} />`}</span>
    <span class="what"><strong>${kindText(event.kind)}</strong><span>${subject(event) || event.facts.text || event.facts.reason || ""}</span>
      <span class="dim">${title}${event.phase === "ended" && event.facts.seconds ? ` · ${t("events.seconds", { count: Math.round(event.facts.seconds) })}` : ""}</span></span>
    ${event.clip && html`<span class="badge" title=${t("events.hasClip")}><${Icon} name="play" /><span class="hidden">${t("events.hasClip")}</span></span>`}
    <time datetime=${event.time} title="${dateTime(event.time)}, ${ago(event.time)}">${time(event.time)}</time></button></li>`;
}

function List({ list, titles, open, empty }) {
  const { events, error, loading, more, older, reload } = list;
  if (!events) return error ? html`<${ErrorNote} error=${error} retry=${reload} />` : html`<${Loading} />`;
  if (!events.length) return html`<${Empty} icon="events" title=${t("events.none.title")}>${empty}<//>`;
  const days = grouped(events);
  return html`${[...days].map(([day, found]) => html`<section class="day" key=${day}><h2>${day}</h2>
      <ul class="event-list">${found.map((event) => html`<${Row} key=${event.id} event=${event} title=${titles[event.camera] ?? event.camera ?? event.plugin ?? "sightd"} open=${open} />`)}</ul></section>`)}
    <${ErrorNote} error=${error} retry=${older} />
    ${more && html`<p class="older"><${Button} busy=${loading} onClick=${older}>${t("events.older")}<//></p>`}`;
}

function grouped(events) {
  const days = new Map();
  for (const event of events) days.set(dayOf(event), [...(days.get(dayOf(event)) ?? []), event]);
  return days;
}

export default function Events() {
  const [query, change] = useQuery();
  const { data: status } = useStatus();
  const list = useEventList(query);
  const titles = Object.fromEntries(status?.cameras.map((one) => [one.name, one.title]) ?? []);
  const filtered = Object.values(fieldsOf(query)).some(Boolean) || query.text;
  const opened = Number(query.event) || null;
  return html`<${PageHead} title=${t("events.title")}><${Exports} query=${query} /><//>
    <div class="stack events-page"><${Filters} query=${query} change=${change} />
      <${Counts} query=${query} change=${change} newest=${list.events?.[0]?.id} />
      <div><${List} list=${list} titles=${titles} open=${(event) => change({ event })} empty=${t(filtered ? "events.none.filtered" : "events.none.text")} /></div></div>
    ${opened && html`<${EventDetails} key=${opened} number=${opened} list=${list.events ?? []} titles=${titles} show=${(event) => change({ event })} />`}`;
}

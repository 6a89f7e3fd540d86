// What the pages of events and recordings share: filters as the API has them, live lists, and words for people.

import { useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { get, serverEvents, withQuery } from "./api.js";
import { hasText, number, t } from "./i18n.js";

/** Fields of an event that a query of the address may select by. */
export const FIELDS = ["camera", "kind", "zone", "line", "class", "person", "phase"];
export const PERIODS = { "1h": 3600, "24h": 86400, "7d": 7 * 86400, "30d": 30 * 86400, all: null };
const PAGE = 50;
const MOST = 1000;

/** A kind such as "zone.entered" in words, or as it is if it is unknown here. */
export function kindText(kind) {
  const key = `kinds.${kind.replaceAll(".", "_")}`;
  return hasText(key) ? t(key) : kind;
}

/** Who or what an event is about, such as "Ann · person · drive". */
export function subject(event) {
  return [event.person, event.class, event.zone ?? event.line].filter(Boolean).join(" · ");
}

/** The address of a picture or clip of an event, relative to the page. */
export function media(path) {
  return path?.slice(1);
}

/** A value of an event's facts for people. */
export function factText(value) {
  if (typeof value === "number") return number(value, 3);
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Seconds since the epoch of a local date and time such as 2026-03-01T12:00; null if it is none. */
export function localTime(text) {
  const at = new Date(text ?? "").getTime() / 1000;
  return Number.isNaN(at) ? null : at;
}

/** A local date and time such as 2026-03-01T12:00:00, of seconds since the epoch. */
export function localText(at) {
  const date = new Date(at * 1000);
  return new Date(at * 1000 - date.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

/** Whether a query selects a time that may be over: from and to are given. */
export function isCustom(query) {
  return query.period === "custom";
}

/** `{since, until}` in seconds since the epoch of a query of the address. */
export function span(query, now = Date.now() / 1000) {
  if (isCustom(query)) return { since: localTime(query.since), until: localTime(query.until) };
  const length = PERIODS[query.period ?? "24h"];
  return { since: length ? Math.floor(now - length) : null, until: null };
}

/** The API's filter of a query of the address, without time and text. */
export function fieldsOf(query) {
  return Object.fromEntries(FIELDS.map((name) => [name, query[name] || null]));
}

/** The API's filter of a query of the address. */
export function filterOf(query) {
  return { ...fieldsOf(query), ...span(query), text: query.text || null };
}

/** What of a query changes which events are selected: a key for effects. */
export function filterKey(query) {
  return JSON.stringify([...FIELDS.map((name) => query[name]), query.period, query.since, query.until, query.text]);
}

/** Hook: `{events, error, loading, more, older, reload}`: events of a query of the address, newest first, and those that happen. */
export function useEventList(query) {
  const [state, set] = useState({ events: null, error: null, loading: true, more: false });
  const [round, again] = useState(0);
  const current = useRef(null);
  const key = filterKey(query);
  useEffect(() => {
    const list = new EventList(query, set);
    current.current = list;
    return () => list.close();
  }, [key, round]);
  return { ...state, older: () => current.current.older(), reload: () => again((before) => before + 1) };
}

/** The newest events of a query, older ones on demand, and new ones as they happen. */
class EventList {
  #query;
  #show;
  #control = new AbortController();
  #state = { events: null, error: null, loading: true, more: false };
  #timer = 0;
  #arrived = [];
  #forget = () => {};

  constructor(query, show) {
    this.#query = query;
    this.#show = show;
    this.#update({});
    this.#begin();
  }

  close() {
    this.#control.abort();
    clearTimeout(this.#timer);
    this.#forget();
  }

  async older() {
    const { events } = this.#state;
    this.#update({ loading: true });
    const found = await this.#page({ before: events.at(-1).id });
    if (found) this.#update({ events: [...this.#state.events, ...found], more: found.length === PAGE, loading: false });
  }

  async #begin() {
    const found = await this.#page({});
    if (!found) return;
    this.#update({ events: found, more: found.length === PAGE, loading: false, error: null });
    if (!isCustom(this.#query)) this.#forget = serverEvents(() => this.#stream(), (event) => this.#arrive(event));
  }

  #stream() {
    return withQuery("api/v1/events/stream", { ...fieldsOf(this.#query), after: this.#state.events[0]?.id });
  }

  async #page(range) {
    try {
      const found = await get("api/v1/events", { query: { ...filterOf(this.#query), ...range, limit: PAGE }, signal: this.#control.signal });
      return found.reverse();
    } catch (error) {
      if (!this.#control.signal.aborted) this.#update({ error, loading: false });
      return null;
    }
  }

  #arrive(event) {
    this.#arrived.push(event);
    this.#timer ||= setTimeout(() => this.#take(), 200);
  }

  async #take() {
    this.#timer = 0;
    const newest = this.#state.events[0]?.id ?? 0;
    let found = this.#arrived.splice(0).filter((one) => one.id > newest).reverse();
    if (this.#query.text && found.length) found = (await this.#page({ after: newest })) ?? [];
    if (!found.length || this.#control.signal.aborted) return;
    const events = [...found, ...this.#state.events];
    this.#update({ events: events.slice(0, MOST), more: this.#state.more || events.length > MOST });
  }

  #update(changes) {
    this.#state = { ...this.#state, ...changes };
    this.#show(this.#state);
  }
}

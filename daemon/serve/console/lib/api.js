// Requests to the daemon. Paths are relative to the page ("api/v1/status"), so that a proxy may serve it below a path.

import { t } from "./i18n.js";

const unauthorized = new EventTarget();

/** Calls `listener` whenever a request is answered 401. Returns a function that ends this. */
export function onUnauthorized(listener) {
  unauthorized.addEventListener("unauthorized", listener);
  return () => unauthorized.removeEventListener("unauthorized", listener);
}

/** What a request failed with. `status` is 0 if the daemon could not be reached; `message` is a sentence for people;
 * `body` is the answer's JSON, if it had any. */
export class ApiError extends Error {
  constructor(status, message, body = null) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

/** A path with a query; null and undefined are left out, and an array repeats its parameter. */
export function withQuery(path, query = {}) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== null && one !== undefined) search.append(name, one);
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

/** Sends a request; returns the response if it is successful, otherwise throws ApiError. `options` are those of fetch;
 * `json` is a body to send as JSON. */
export async function request(method, path, { json, headers, ...options } = {}) {
  const sent = { "X-Sightd": "1", ...headers };
  if (json !== undefined) {
    sent["Content-Type"] = "application/json";
    options.body = JSON.stringify(json);
  }
  let response;
  try {
    response = await fetch(path, { method, headers: sent, credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, t("errors.unreachable"));
  }
  if (response.ok) return response;
  if (response.status === 401) unauthorized.dispatchEvent(new Event("unauthorized"));
  throw await failure(response);
}

/** GET; returns the parsed JSON. `options.query` is added to the path. */
export async function get(path, { query, ...options } = {}) {
  return (await request("GET", withQuery(path, query), options)).json();
}

/** POST, PUT, PATCH or DELETE with a JSON body, if any; returns the parsed JSON, or null for an empty answer. */
export async function send(method, path, json, options = {}) {
  const text = await (await request(method, path, { json, ...options })).text();
  return text ? JSON.parse(text) : null;
}

async function failure(response) {
  const text = await response.text().catch(() => "");
  let body = null;
  try {
    body = JSON.parse(text);
  } catch {
    // not JSON: an error page of a proxy
  }
  return new ApiError(response.status, sentence(body) || t("errors.status", { status: response.status }), body);
}

function sentence(body) {
  const detail = body?.detail ?? body?.error;
  if (typeof detail === "string") return detail;
  if (!Array.isArray(detail)) return "";
  return detail.map((one) => `${(one.loc ?? []).slice(1).join(".")}: ${one.msg}`).join("; ");
}

/** Whether the page is in a visible tab. Calls `listener` at each change; returns a function that ends this. */
export function onVisibility(listener) {
  const changed = () => listener(document.visibilityState === "visible");
  document.addEventListener("visibilitychange", changed);
  return () => document.removeEventListener("visibilitychange", changed);
}

/** Delays in ms between attempts to connect: grow from half a second to eight, and start over after a success. */
export class Backoff {
  #next = 500;

  reset() {
    this.#next = 500;
  }

  next() {
    const delay = this.#next * (0.75 + Math.random() / 2);
    this.#next = Math.min(8000, this.#next * 2);
    return delay;
  }
}

/** Runs `connect` while the tab is visible, and again with a backoff after it has ended. `connect(ended, opened)` starts
 * a connection and returns a function that closes it. Returns a function that closes all. */
export function keepConnected(connect) {
  const backoff = new Backoff();
  let close = null;
  let timer = 0;
  const stop = () => {
    clearTimeout(timer);
    close?.();
    close = null;
  };
  const start = () => {
    stop();
    let over = false;
    const ended = () => {
      if (over) return;
      over = true;
      stop();
      timer = setTimeout(start, backoff.next());
    };
    const connection = connect(ended, () => backoff.reset());
    if (over) connection();
    else
      close = () => {
        over = true;
        connection();
      };
  };
  const forget = onVisibility((visible) => (visible ? start() : stop()));
  if (document.visibilityState === "visible") start();
  return () => {
    forget();
    stop();
  };
}

/** Reads server-sent events while the tab is visible; `onEvent(data, id)` gets each parsed message. After a pause the
 * stream starts with what is new then, unless `path` is a function that returns the path of each connection. Returns a
 * function that ends it. */
export function serverEvents(path, onEvent, type = "message") {
  return keepConnected((ended, opened) => {
    const source = new EventSource(typeof path === "function" ? path() : path);
    source.onopen = opened;
    source.onerror = ended;
    source.addEventListener(type, (message) => onEvent(JSON.parse(message.data), message.lastEventId));
    return () => source.close();
  });
}

/** The ws: or wss: address of a path of this server. */
export function socketAddress(path) {
  const url = new URL(path, document.baseURI);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

/** Reads JSON messages of a WebSocket while the tab is visible. Returns a function that ends it. */
export function socketMessages(path, onMessage) {
  return keepConnected((ended, opened) => {
    const socket = new WebSocket(socketAddress(path));
    socket.onopen = opened;
    socket.onclose = ended;
    socket.onmessage = (message) => onMessage(JSON.parse(message.data));
    return () => {
      socket.onclose = null;
      socket.close();
    };
  });
}

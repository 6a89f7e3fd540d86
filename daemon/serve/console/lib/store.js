// State shared by pages: the daemon's status, who is logged in, the theme. A store notifies its subscribers of changes.

import { useEffect, useState } from "../vendor/preact-htm.js";
import { get, onVisibility, send } from "./api.js";

/** A value with subscribers. */
export class Store {
  #listeners = new Set();
  #first = [];

  constructor(value) {
    this.value = value;
  }

  set(value) {
    this.value = value;
    for (const listener of [...this.#first, ...this.#listeners]) listener(value);
  }

  /** Calls `listener` after each change; returns a function that ends this. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get watched() {
    return this.#listeners.size > 0;
  }

  /** Calls `listener` before all others, without being a reason to keep the value up to date. */
  subscribeQuietly(listener) {
    this.#first.push(listener);
  }
}

/** Hook: the store's value; renders again when it changes. */
export function useStore(store) {
  const [value, set] = useState(store.value);
  useEffect(() => {
    set(store.value);
    return store.subscribe(set);
  }, [store]);
  return value;
}

/** Polls a path every `seconds` while somebody subscribes and the tab is visible. Its value is `{data, error, asked,
 * answered}`: the newest answer, the ApiError of the newest request, if that failed, and when this clock was read. */
export class Polled extends Store {
  #path;
  #seconds;
  #timer = 0;
  #asking = false;

  constructor(path, seconds) {
    super({ data: null, error: null });
    this.#path = path;
    this.#seconds = seconds;
    onVisibility(() => this.#schedule(0));
  }

  subscribe(listener) {
    const first = !this.watched;
    const forget = super.subscribe(listener);
    if (first) this.#schedule(0);
    return forget;
  }

  /** Asks now; resolves when the answer is in. */
  async refresh() {
    this.#asking = true;
    const asked = Date.now();
    try {
      this.set({ data: await get(this.#path), error: null, asked, answered: Date.now() });
    } catch (error) {
      this.set({ data: this.value.data, error });
    } finally {
      this.#asking = false;
      this.#schedule(this.#seconds * 1000);
    }
  }

  #schedule(delay) {
    clearTimeout(this.#timer);
    if (!this.watched || this.#asking || document.visibilityState !== "visible") return;
    this.#timer = setTimeout(() => this.watched && this.refresh(), delay);
  }
}

/** GET /api/v1/status, every two seconds. */
export const status = new Polled("api/v1/status", 2);

let clock = null;

status.subscribeQuietly(({ data, error, asked, answered }) => {
  if (error) return;
  const way = answered - asked;
  if (clock && clock.way < way && clock.at > answered - 60000) return;
  clock = { way, at: answered, ahead: 1000 * (data.started_at + data.uptime) - (asked + answered) / 2 };
});

/** The time by the daemon's clock, in ms since the epoch, as the status shows it; null before the first answer. */
export function daemonTime() {
  return clock && Date.now() + clock.ahead;
}

/** Hook: `{data, error}` of the daemon's status. */
export function useStatus() {
  return useStore(status);
}

const ROLES = ["view", "operate", "admin"];

/** Who is logged in: null while unknown; `{name, role, roles, login}` of GET /api/v1/me; or nobody, `{role: null, login}`. `login`
 * says which kinds of login there are: `{token, oidc}`. */
export const session = new Store(null);

/** Asks who is logged in. Throws ApiError if that cannot be asked; not to be logged in is no error. */
export async function loadSession() {
  try {
    session.set(await get("api/v1/me"));
  } catch (error) {
    if (error.status !== 401) throw error;
    session.set({ role: null, login: await get("api/v1/login") });
  }
}

/** Logs in with a token. Throws ApiError if it is refused. */
export async function login(token) {
  await send("POST", "api/v1/login", { token });
  await loadSession();
}

export async function logout() {
  const { redirect } = await send("POST", "api/v1/logout");
  if (redirect) location.assign(redirect); // the OpenID provider ends its own session, too
  else await loadSession();
}

/** Whether the logged-in role includes `role`: "view", "operate" or "admin". The server checks it as well. */
export function may(role, who = session.value) {
  return who !== null && who.role !== null && ROLES.indexOf(who.role) >= ROLES.indexOf(role);
}

/** Hook: whether the logged-in role includes `role`. */
export function useMay(role) {
  return may(role, useStore(session));
}

const THEME = "sightd.theme";

/** "light", "dark", or "auto": as the system has it. */
export const theme = new Store(localStorage.getItem(THEME) ?? "auto");

export function applyTheme(name = theme.value) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
}

export function chooseTheme(name) {
  localStorage.setItem(THEME, name);
  applyTheme(name);
  theme.set(name);
}

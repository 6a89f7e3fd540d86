// Texts of the console in the reader's language. Numbers and times follow the same language.

const LANGUAGES = { en: "English", de: "Deutsch" };
const STORED = "sightd.language";

let texts = {};
let current = "en";
let plurals = new Intl.PluralRules("en");
const listeners = new Set();

export const languages = LANGUAGES;

/** The language in use, such as "en". */
export function language() {
  return current;
}

/** Loads a language; by default the one that was chosen before, or the browser's first that there is. */
export async function useLanguage(name = preferred()) {
  const response = await fetch(`console/i18n/${name}.json`);
  texts = await response.json();
  current = name;
  plurals = new Intl.PluralRules(name);
  document.documentElement.lang = name;
  for (const listener of listeners) listener();
}

/** Loads a language and keeps it for later visits. */
export async function chooseLanguage(name) {
  localStorage.setItem(STORED, name);
  await useLanguage(name);
}

/** Calls `listener` after each change of the language; returns a function that ends this. */
export function onLanguage(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function preferred() {
  const wanted = [localStorage.getItem(STORED), ...navigator.languages.map((one) => one.slice(0, 2))];
  return wanted.find((one) => one in LANGUAGES) ?? "en";
}

/** The text of a key such as "wall.title". `{name}` in it is replaced by `values.name`. A text that depends on a number
 * has the forms `one` and `other`, chosen by `values.count`. */
export function t(key, values = {}) {
  let found = key.split(".").reduce((node, part) => node?.[part], texts);
  if (found && typeof found === "object") found = found[plurals.select(values.count)] ?? found.other;
  if (typeof found !== "string") {
    console.error(`there is no text for ${key}`);
    return key;
  }
  return found.replace(/\{(\w+)\}/g, (_, name) => shown(values[name]));
}

function shown(value) {
  return typeof value === "number" ? number(value) : String(value ?? "");
}

/** Whether there is a text for this key: for values of the API that may be unknown here, such as states. */
export function hasText(key) {
  return typeof key.split(".").reduce((node, part) => node?.[part], texts) === "string";
}

/** A number, with at most `digits` decimals. */
export function number(value, digits = 1) {
  return value.toLocaleString(current, { maximumFractionDigits: digits });
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** A size in bytes, such as "3.4 GB". */
export function bytes(value) {
  const power = value < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(value) / 3));
  return `${number(value / 1000 ** power)} ${UNITS[power]}`;
}

function asDate(when) {
  return new Date(typeof when === "number" ? when * 1000 : when);
}

/** The time of day, with seconds; `when` is seconds since the epoch or an ISO 8601 text. */
export function time(when) {
  return asDate(when).toLocaleTimeString(current, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/** Date and time. */
export function dateTime(when) {
  return asDate(when).toLocaleString(current, { dateStyle: "medium", timeStyle: "medium" });
}

const SPANS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** How long ago something was, such as "3 minutes ago". */
export function ago(when, now = Date.now()) {
  const seconds = Math.max(0, (now - asDate(when).getTime()) / 1000);
  const [unit, length] = SPANS.find(([, span]) => seconds >= span) ?? SPANS.at(-1);
  return new Intl.RelativeTimeFormat(current, { numeric: "auto" }).format(-Math.floor(seconds / length), unit);
}

/** A duration such as "1:02:03" or "2:03"; `seconds` is a number. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((one, index) => (index ? String(one).padStart(2, "0") : one)).join(":");
}

// Parts that all pages are made of. Texts are given by the caller, already translated, unless a part has one of its own.

import { html, useEffect, useErrorBoundary, useRef, useState } from "../vendor/preact-htm.js";
import { hasText, t } from "./i18n.js";
import { Icon } from "./icons.js";
import { Store, useStore } from "./store.js";

export { Icon };

/** Loads pages/NAME.css once. A page with a stylesheet of its own awaits this at its top: `await style("events")`. */
export function style(name) {
  const href = `console/pages/${name}.css`;
  if (document.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href });
  return new Promise((loaded, failed) => {
    link.onload = loaded;
    link.onerror = () => failed(new Error(`${href} could not be loaded`));
    document.head.append(link);
  });
}

const names = (...all) => all.filter(Boolean).join(" ");

/** A button. `kind`: "primary", "danger", "quiet" or none. `icon` precedes the text; without a text, `label` is its name
 * and its tooltip. While the promise that `onClick` returns is pending it is busy; what that throws is shown as a toast. */
export function Button({ kind, icon, label, busy = false, children, onClick, disabled, class: extra, ...rest }) {
  const [pending, setPending] = useState(false);
  const text = Array.isArray(children) ? children.length > 0 : Boolean(children);
  const click = async (event) => {
    const done = onClick?.(event);
    if (!(done instanceof Promise)) return;
    setPending(true);
    await done.catch(toastError);
    setPending(false);
  };
  return html`<button type="button" class=${names("button", kind, !text && "square", extra)} title=${text ? undefined : label}
    aria-label=${text ? undefined : label} aria-busy=${busy || pending ? "true" : undefined}
    disabled=${disabled || busy || pending} onClick=${click} ...${rest}>${icon && html`<${Icon} name=${icon} />`}${children}</button>`;
}

let counter = 0;

/** Hook: an id that is unique in the page and stays the same. */
export function useId() {
  const ref = useRef(0);
  if (!ref.current) ref.current = `id${++counter}`;
  return ref.current;
}

/** A labelled field: an input with `type`, or what `children(attributes)` returns, such as a select. `hint` explains it,
 * `error` says what is wrong with its value. `onInput` gets the value. */
export function Field({ label, hint, error, children, onInput, class: extra, ...input }) {
  const id = useId();
  const described = names(hint && `${id}-hint`, error && `${id}-error`) || undefined;
  const attributes = { id, "aria-describedby": described, "aria-invalid": error ? "true" : undefined };
  const control = children
    ? (Array.isArray(children) ? children[0] : children)(attributes)
    : html`<input ...${attributes} onInput=${(event) => onInput?.(event.target.value)} ...${input} />`;
  return html`<div class=${names("field", extra)}><label for=${id}>${label}</label>${control}
    ${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}
    ${error && html`<p class="field-error" id="${id}-error">${error}</p>`}</div>`;
}

/** A labelled select. `options` are [value, text]; `onChange` gets the value. */
export function Select({ label, value, options, onChange, ...rest }) {
  return html`<${Field} label=${label} ...${rest}>${(attributes) => html`
    <select ...${attributes} value=${value} onChange=${(event) => onChange(event.target.value)}>
      ${options.map(([one, text]) => html`<option value=${one} selected=${one === value}>${text}</option>`)}
    </select>`}<//>`;
}

/** A switch with its label. `onChange` gets a boolean. */
export function Toggle({ label, checked, onChange, disabled }) {
  return html`<label class="toggle"><input type="checkbox" role="switch" checked=${checked} disabled=${disabled}
    onChange=${(event) => onChange(event.target.checked)} /><span>${label}</span></label>`;
}

/** One of a few choices, next to each other. `options` are {value, label, icon}; with an icon the label is its name. */
export function Choice({ label, value, options, onChange }) {
  const id = useId();
  return html`<fieldset class="choice"><legend class="hidden">${label}</legend>
    ${options.map((one) => html`<label title=${one.icon ? one.label : undefined}>
      <input type="radio" name=${id} checked=${one.value === value} onChange=${() => onChange(one.value)} />
      <span>${one.icon ? html`<${Icon} name=${one.icon} /><span class="hidden">${one.label}</span>` : one.label}</span>
    </label>`)}</fieldset>`;
}

/** A short word with a colour: "good", "warn", "bad", "quiet" or "accent". */
export function Badge({ tone = "quiet", title, children }) {
  return html`<span class="badge ${tone}" title=${title}>${children}</span>`;
}

const TONES = { live: "good", away: "bad", late: "warn", stale: "bad", failing: "bad", connecting: "warn", waiting: "bad", paused: "quiet", ended: "quiet" };

/** The state of a camera as the daemon reports it; its reason is the tooltip. */
export function StateBadge({ state, reason }) {
  const key = `states.${state}`;
  return html`<${Badge} tone=${TONES[state] ?? "warn"} title=${reason}>${hasText(key) ? t(key) : state}<//>`;
}

/** The state of a camera of the status, and whether its analysis is paused. `away`: the daemon cannot be reached. */
export function CameraBadges({ camera, away }) {
  return html`${camera.paused && !away && html`<${StateBadge} state="paused" />`}<${StateBadge} state=${away ? "away" : camera.state} reason=${camera.reason} />`;
}

/** The head of a page: its title, and actions beside it. Sets the title of the tab. */
export function PageHead({ title, back, children }) {
  useEffect(() => {
    document.title = `${title} · sightd`;
  }, [title]);
  return html`<header class="page-head">
    ${back && html`<a class="button quiet square" href=${back} aria-label=${t("common.back")} title=${t("common.back")}><${Icon} name="back" /></a>`}
    <h1>${title}</h1><div class="actions">${children}</div></header>`;
}

/** A bordered box with a title. */
export function Card({ title, actions, children, class: extra }) {
  return html`<section class=${names("card", extra)}>
    ${title && html`<header><h2>${title}</h2><div class="actions">${actions}</div></header>`}${children}</section>`;
}

/** A table. `columns` are {title, cell(row), number}; `empty` is shown instead of no rows. */
export function Table({ caption, columns, rows, rowKey, empty }) {
  if (!rows.length && empty) return html`<${Empty}>${empty}<//>`;
  return html`<div class="table" tabindex="0" role="region" aria-label=${caption}><table><caption class="hidden">${caption}</caption>
    <thead><tr>${columns.map((one) => html`<th scope="col" class=${one.number ? "number" : ""}>${one.title}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${rowKey?.(row)}>
      ${columns.map((one) => html`<td class=${one.number ? "number" : ""}>${one.cell(row)}</td>`)}</tr>`)}</tbody></table></div>`;
}

/** What is shown where there is nothing: a sentence, and perhaps what to do. */
export function Empty({ icon, title, children }) {
  return html`<div class="empty">${icon && html`<${Icon} name=${icon} />`}${title && html`<p><strong>${title}</strong></p>`}<div>${children}</div></div>`;
}

/** Something is under way. */
export function Loading() {
  return html`<div class="loading" role="status"><span class="hidden">${t("common.loading")}</span></div>`;
}

/** What went wrong, where it did; `retry` repeats it. */
export function ErrorNote({ error, retry }) {
  if (!error) return null;
  return html`<div class="note bad" role="alert"><${Icon} name="warning" /><p>${error.message ?? error}</p>
    ${retry && html`<${Button} onClick=${retry}>${t("common.retry")}<//>`}</div>`;
}

/** A modal dialog: open while it is rendered. Escape and its close button call `onClose`. `actions` are its buttons. */
export function Dialog({ title, onClose, actions, children, class: extra }) {
  const ref = useRef(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement;
    ref.current.showModal();
    return () => before?.focus?.();
  }, []);
  return html`<dialog ref=${ref} class=${names("dialog", extra)} aria-labelledby=${id}
      onCancel=${(event) => { event.preventDefault(); onClose(); }}>
    <header><h2 id=${id}>${title}</h2><${Button} kind="quiet" icon="close" label=${t("common.close")} onClick=${onClose} /></header>
    <div class="body">${children}</div>${actions && html`<footer>${actions}</footer>`}</dialog>`;
}

const question = new Store(null);

/** Asks in a dialog before something that cannot be undone; resolves to whether it was confirmed. */
export function confirmed({ title, text, action, kind = "danger" }) {
  return new Promise((resolve) => question.set({ title, text, action, kind, resolve }));
}

const toasts = new Store([]);
let toastNumber = 0;

/** Shows a message for some seconds; `tone`: "good", "bad" or none. */
export function toast(text, tone = "") {
  const one = { id: ++toastNumber, text, tone };
  toasts.set([...toasts.value.slice(-3), one]);
  setTimeout(() => dismiss(one.id), tone === "bad" ? 10000 : 4000);
}

function dismiss(id) {
  toasts.set(toasts.value.filter((one) => one.id !== id));
}

export function toastError(error) {
  if (error.name !== "AbortError") toast(error.message, "bad");
}

/** Toasts and questions of all pages; rendered once, by the application. */
export function Overlays() {
  const shown = useStore(toasts);
  const asked = useStore(question);
  const answer = (yes) => {
    question.set(null);
    asked.resolve(yes);
  };
  return html`<div class="toasts" role="status">${shown.map((one) => html`<div key=${one.id} class="toast ${one.tone}">
      <p>${one.text}</p><${Button} kind="quiet" icon="close" label=${t("common.close")} onClick=${() => dismiss(one.id)} /></div>`)}</div>
    ${asked && html`<${Dialog} title=${asked.title} onClose=${() => answer(false)} actions=${html`
      <${Button} onClick=${() => answer(false)}>${t("common.cancel")}<//>
      <${Button} kind=${asked.kind} onClick=${() => answer(true)}>${asked.action}<//>`}><p>${asked.text}</p><//>`}`;
}

/** Shows an error of what it contains instead of an empty page. */
export function Boundary({ children }) {
  const [error, reset] = useErrorBoundary((thrown) => console.error(thrown));
  return error ? html`<${ErrorNote} error=${error} retry=${reset} />` : children;
}

/** Hook: `{data, error, loading, reload}` of an asynchronous `load(signal)`, run again when one of `inputs` changes. */
export function useLoaded(load, inputs) {
  const [state, set] = useState({ data: null, error: null, loading: true });
  const [round, again] = useState(0);
  useEffect(() => {
    const control = new AbortController();
    set((before) => ({ ...before, loading: true }));
    load(control.signal).then(
      (data) => control.signal.aborted || set({ data, error: null, loading: false }),
      (error) => control.signal.aborted || set({ data: null, error, loading: false }),
    );
    return () => control.abort();
  }, [...inputs, round]);
  return { ...state, reload: () => again((before) => before + 1) };
}

/** Hook: the width in px of the element of a ref. */
export function useWidth(ref) {
  const [width, set] = useState(800);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => set(Math.max(200, entry.contentRect.width)));
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return width;
}

// Moves a camera while a button is held. Every move has an end on the server, so nothing that happens here keeps it moving.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { get, onVisibility, send } from "./api.js";
import { Badge, Button, Card, Dialog, ErrorNote, Field, confirmed, style, toastError } from "./components.js";
import { t } from "./i18n.js";
import { useMay } from "./store.js";

await style("ptz");

const SECONDS = 1.5;
const RENEWED = 800;
const SHORTEST = 250;
const POLLED = 5000;
const STORED = "sightd.ptz-speed";
const PAD = [
  ["upLeft", -1, 1], ["up", 0, 1], ["upRight", 1, 1],
  ["left", -1, 0], null, ["right", 1, 0],
  ["downLeft", -1, -1], ["down", 0, -1], ["downRight", 1, -1],
];
const ARROWS = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

/** Sends moves of one camera in order: a move goes on until `stop`, and lasts at least a quarter of a second. */
class Mover {
  #path;
  #last = Promise.resolve();
  #timer = 0;
  #began = 0;

  constructor(path) {
    this.#path = path;
  }

  get moving() {
    return this.#timer !== 0;
  }

  start(vector) {
    clearInterval(this.#timer);
    this.#began = Date.now();
    const move = () => this.ask("POST", "move", { ...vector, seconds: SECONDS });
    this.#timer = setInterval(move, RENEWED);
    return move();
  }

  async stop() {
    if (!this.moving) return;
    clearInterval(this.#timer);
    this.#timer = 0;
    await new Promise((done) => setTimeout(done, Math.max(0, this.#began + SHORTEST - Date.now())));
    if (!this.moving) await this.ask("POST", "stop");
  }

  /** Sends a request after those before it; an error is shown, and ends the move. */
  ask(method, path, body) {
    this.#last = this.#last.then(() => send(method, `${this.#path}/${path}`, body)).catch((error) => {
      clearInterval(this.#timer);
      this.#timer = 0;
      toastError(error);
    });
    return this.#last;
  }
}

/** Hook: what the camera says about itself, asked every few seconds in a visible tab. */
function usePtz(path) {
  const [state, set] = useState({ data: null, error: null });
  const load = useRef(() => {});
  useEffect(() => {
    const control = new AbortController();
    let timer = 0;
    load.current = async () => {
      clearTimeout(timer);
      if (control.signal.aborted || document.visibilityState !== "visible") return;
      try {
        set({ data: await get(path, { signal: control.signal }), error: null });
      } catch (error) {
        if (!control.signal.aborted) set((before) => ({ ...before, error }));
      }
      if (!control.signal.aborted) timer = setTimeout(load.current, POLLED);
    };
    load.current();
    const forget = onVisibility(() => load.current());
    return () => {
      control.abort();
      clearTimeout(timer);
      forget();
    };
  }, [path]);
  return { ...state, reload: () => load.current() };
}

/** A button that moves while it is held, by pointer or by Enter and the space bar. */
function Hold({ icon, label, vector, mover, children }) {
  const start = (event) => {
    if (event.button > 0) return;
    event.preventDefault();
    event.currentTarget.focus();
    event.currentTarget.setPointerCapture?.(event.pointerId);
    mover.start(vector());
  };
  const key = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    if (!event.repeat) mover.start(vector());
  };
  const stop = () => mover.stop();
  return html`<${Button} class="hold" icon=${icon} label=${label} onPointerDown=${start} onPointerUp=${stop} onPointerCancel=${stop}
    onLostPointerCapture=${stop} onKeyDown=${key} onKeyUp=${stop} onBlur=${stop} onContextMenu=${(event) => event.preventDefault()}>${children}<//>`;
}

function Pad({ mover, speed, home }) {
  const arrows = (event) => {
    const found = ARROWS[event.key];
    if (!found) return;
    event.preventDefault();
    if (!event.repeat) mover.start({ pan: found[0] * speed, tilt: found[1] * speed });
  };
  const released = (event) => event.key in ARROWS && mover.stop();
  return html`<div class="pad" role="group" aria-label=${t("ptz.pad")} onKeyDown=${arrows} onKeyUp=${released}>
    ${PAD.map((one) => one
      ? html`<${Hold} key=${one[0]} mover=${mover} label=${t(`ptz.${one[0]}`)} vector=${() => ({ pan: one[1] * speed, tilt: one[2] * speed })}>
          <span class="arrow ${one[0]}" aria-hidden="true">↑</span><span class="hidden">${t(`ptz.${one[0]}`)}</span><//>`
      : html`<${Button} key="home" icon="home" label=${t("ptz.home")} disabled=${!home} onClick=${() => mover.ask("POST", "home")} />`)}</div>`;
}

function NewPreset({ path, onClose, onDone }) {
  const [name, setName] = useState("");
  const save = async () => {
    await send("POST", `${path}/presets`, { name: name.trim() });
    onDone();
  };
  return html`<${Dialog} title=${t("ptz.newPreset")} onClose=${onClose} actions=${html`<${Button} onClick=${onClose}>${t("common.cancel")}<//>
      <${Button} kind="primary" disabled=${!name.trim()} onClick=${save}>${t("common.save")}<//>`}>
    <${Field} label=${t("common.name")} value=${name} onInput=${setName} maxlength="64" hint=${t("ptz.newPresetHint")} /><//>`;
}

function Presets({ presets, path, mover, reload }) {
  const admin = useMay("admin");
  const [adding, setAdding] = useState(false);
  const remove = async (preset) => {
    const text = t("ptz.removeText", { name: preset.name });
    if (!(await confirmed({ title: t("ptz.remove"), text, action: t("common.remove") }))) return;
    await send("DELETE", `${path}/presets/${encodeURIComponent(preset.token)}`);
    reload();
  };
  const setHome = async () => {
    if (await confirmed({ title: t("ptz.setHome"), text: t("ptz.setHomeText"), action: t("ptz.setHome"), kind: "primary" })) await send("PUT", `${path}/home`);
  };
  return html`<div class="presets"><h3>${t("ptz.presets")}</h3>
    ${!presets.length && html`<p class="dim">${t("ptz.noPresets")}</p>`}
    <ul>${presets.map((one) => html`<li key=${one.token}><${Button} onClick=${() => mover.ask("POST", "preset", { preset: one.token })}>${one.name}<//>
      ${admin && html`<${Button} kind="quiet" icon="trash" label=${t("ptz.removeText", { name: one.name })} onClick=${() => remove(one)} />`}</li>`)}</ul>
    ${admin && html`<div class="row"><${Button} kind="quiet" icon="plus" onClick=${() => setAdding(true)}>${t("ptz.newPreset")}<//>
      <${Button} kind="quiet" onClick=${setHome}>${t("ptz.setHome")}<//></div>`}
    ${adding && html`<${NewPreset} path=${path} onClose=${() => setAdding(false)} onDone=${() => (setAdding(false), reload())} />`}</div>`;
}

function Following({ following }) {
  if (!following.enabled) return null;
  if (following.paused > 0) return html`<${Badge} tone="warn">${t("ptz.paused", { seconds: Math.ceil(following.paused) })}<//>`;
  if (following.track === null) return html`<${Badge}>${t("ptz.follows")}<//>`;
  return html`<${Badge} tone="accent">${t("ptz.track", { track: following.track })}<//>`;
}

/** Moves a camera, for those who may; nothing for others. */
export function Ptz({ name }) {
  return useMay("operate") ? html`<${Controls} key=${name} name=${name} />` : null;
}

function Controls({ name }) {
  const path = `api/v1/cameras/${encodeURIComponent(name)}/ptz`;
  const { data, error, reload } = usePtz(path);
  const [speed, setSpeed] = useState(Number(localStorage.getItem(STORED)) || 0.5);
  const [mover] = useState(() => new Mover(path));
  useEffect(() => {
    const stop = () => mover.stop();
    const forget = onVisibility(stop);
    addEventListener("blur", stop);
    return () => {
      forget();
      removeEventListener("blur", stop);
      stop();
    };
  }, [mover]);
  const choose = (value) => {
    localStorage.setItem(STORED, value);
    setSpeed(Number(value));
  };
  return html`<${Card} title=${t("ptz.title")} class="ptz" actions=${data && html`<${Following} following=${data.following} />`}>
    ${error && html`<${ErrorNote} error=${error} retry=${reload} />`}
    ${data && html`<div class="controls">
      ${data.supported.pan_tilt.includes("continuous") && html`<${Pad} mover=${mover} speed=${speed} home=${data.supported.home} />`}
      <div class="stack">
        ${data.supported.zoom.includes("continuous") && html`<div class="row" role="group" aria-label=${t("ptz.zoom")}>
          <${Hold} mover=${mover} icon="minus" label=${t("ptz.out")} vector=${() => ({ zoom: -speed })} />
          <${Hold} mover=${mover} icon="plus" label=${t("ptz.in")} vector=${() => ({ zoom: speed })} /><span class="dim">${t("ptz.zoom")}</span></div>`}
        <${Field} label=${t("ptz.speed")} type="range" min="0.1" max="1" step="0.1" value=${speed} onInput=${choose} />
      </div>
      <${Presets} presets=${data.presets} path=${path} mover=${mover} reload=${reload} /></div>`}<//>`;
}

// Finds and tries a camera: a form with the address and login, a search of the network, and a test picture or the reason
// why there is none. Passwords stay in the form, and are forgotten with it.

import { html, useEffect, useState } from "../vendor/preact-htm.js";
import { send } from "./api.js";
import { Badge, Button, ErrorNote, Field, Loading } from "./components.js";
import { number, t } from "./i18n.js";

/** A stream's address with user and password in it, escaped. Addresses that are no URLs stay as they are. */
export function withLogin(address, { username, password }) {
  const found = /^(rtsps?|https?):\/\/(?:[^@/]*@)?(.*)$/i.exec(address.trim());
  if (!found || !username) return address.trim();
  const login = [username, ...(password ? [password] : [])].map(encodeURIComponent).join(":");
  return `${found[1]}://${login}@${found[2]}`;
}

const EMPTY = { address: "", username: "", password: "" };

/** Hook: the form's values, and what the last test found. `changed` sets values and forgets what was found for others. */
export function useProbe(start = {}) {
  const [login, setLogin] = useState({ ...EMPTY, ...start });
  const [device, setDevice] = useState(null);
  const [seen, setSeen] = useState(null);
  const [busy, setBusy] = useState(false);
  const [profile, setProfile] = useState(null);
  const changed = (values) => {
    setLogin((before) => ({ ...before, ...values }));
    setDevice(null);
    setSeen(null);
    setProfile(null);
  };
  const ask = async (address) => {
    setBusy(true);
    setSeen(null);
    try {
      return await send("POST", "api/v1/cameras/probe", { ...login, address });
    } catch (error) {
      return { ok: false, kind: "stream", words: "", error: error.message };
    } finally {
      setBusy(false);
    }
  };
  const choose = async (one) => {
    setProfile(one);
    if (one.address) setSeen(await ask(one.address));
    else setSeen({ ok: false, words: "", error: one.error ?? "" });
  };
  const test = async () => {
    setDevice(null);
    setProfile(null);
    const found = await ask(login.address.trim());
    if (found.kind !== "onvif" || !found.ok) return setSeen(found);
    setDevice(found);
    if (found.profiles.length) await choose(found.profiles[0]);
  };
  return { login, changed, device, seen, busy, profile, choose, test };
}

/** The source that the form stands for, with user and password; empty as long as it is an ONVIF device without a profile. */
export function sourceOf({ login, profile }) {
  const address = profile?.address ?? login.address.trim();
  return /^([a-z]+:\/\/|\/)/i.test(address) ? withLogin(address, login) : "";
}

function Found({ onChoose }) {
  const [state, set] = useState({ found: null, error: null });
  useEffect(() => {
    const control = new AbortController();
    send("POST", "api/v1/discovery", { seconds: 3 }, { signal: control.signal }).then(
      (found) => set({ found, error: null }),
      (error) => control.signal.aborted || set({ found: null, error }),
    );
    return () => control.abort();
  }, []);
  const { found, error } = state;
  if (error) return html`<${ErrorNote} error=${error} />`;
  if (!found) return html`<div class="note" role="status"><${Loading} />${t("cameras.searching")}</div>`;
  if (!found.length) return html`<p class="note">${t("cameras.noneFound")}</p>`;
  return html`<ul class="found" aria-label=${t("cameras.found")}>${found.map((one) => html`<li key=${one.address}>
    <${Button} onClick=${() => onChoose(one)}><strong>${one.name || one.hardware || one.host}</strong>
      <span class="dim">${[one.name && one.hardware, one.location, one.host].filter(Boolean).join(" · ")}</span>
      ${one.camera && html`<${Badge} tone="accent">${t("cameras.knownAs", { name: one.camera })}<//>`}<//></li>`)}</ul>`;
}

function Profiles({ probe }) {
  const { device, profile, choose, busy } = probe;
  return html`<fieldset class="profiles"><legend>${t("cameras.profiles", { device: `${device.manufacturer} ${device.model}` })}</legend>
    ${device.profiles.map((one) => html`<label key=${one.token}><input type="radio" name="profile" checked=${profile?.token === one.token}
      disabled=${busy} onChange=${() => choose(one)} /><span><strong>${one.name}</strong>
      <span class="dim">${[one.codec, one.width && `${one.width} × ${one.height}`, one.fps && t("cameras.rate", { fps: one.fps }), one.ptz && t("cameras.moves")].filter(Boolean).join(" · ")}</span></span></label>`)}
    ${Math.abs(device.clock_offset) > 60 && html`<p class="hint">${t("cameras.clock", { seconds: Math.round(device.clock_offset) })}</p>`}</fieldset>`;
}

function Seen({ seen }) {
  if (!seen.ok) return html`<div class="note bad" role="alert"><p>${seen.words && !seen.error.startsWith(seen.words) && html`<strong>${seen.words}</strong>: `}${seen.error}</p></div>`;
  const facts = [
    seen.codec,
    `${seen.width} × ${seen.height}`,
    seen.fps !== null && t("cameras.rate", { fps: number(seen.fps) }),
    seen.key_frame_interval !== null && t("cameras.keyFrames", { seconds: number(seen.key_frame_interval) }),
    seen.audio && t("cameras.sound", { codec: seen.audio.codec }),
  ].filter(Boolean);
  return html`<figure class="seen"><img src="data:image/jpeg;base64,${seen.picture}" alt=${t("cameras.picture")} />
    <figcaption role="status">${facts.join(" · ")}</figcaption></figure>`;
}

/** The form. `search`: whether to look for cameras in the network; `onFound` gets the device that was chosen. */
export function ProbeForm({ probe, search = false, onFound }) {
  const { login, changed, device, seen, busy, test } = probe;
  const [searching, setSearching] = useState(search);
  const chosen = (one) => {
    changed({ address: one.address });
    setSearching(false);
    onFound?.(one);
  };
  const submit = (event) => {
    event.preventDefault();
    if (login.address.trim() && !busy) test();
  };
  return html`<form class="stack probe" onSubmit=${submit} autocomplete="off">
    ${searching ? html`<${Found} onChoose=${chosen} />` : html`<div><${Button} icon="search" onClick=${() => setSearching(true)}>${t("cameras.search")}<//></div>`}
    <${Field} label=${t("cameras.address")} hint=${t("cameras.addressHint")} value=${login.address} onInput=${(address) => changed({ address })}
      spellcheck="false" autocomplete="off" maxlength="2000" />
    <div class="pair">
      <${Field} label=${t("cameras.username")} value=${login.username} onInput=${(username) => changed({ username })} spellcheck="false" autocomplete="off" maxlength="200" />
      <${Field} label=${t("cameras.password")} type="password" value=${login.password} onInput=${(password) => changed({ password })} autocomplete="new-password" maxlength="200" />
    </div>
    <div class="row"><${Button} type="submit" icon="play" busy=${busy} disabled=${!login.address.trim()}>${t("cameras.test")}<//>
      ${busy && html`<span class="dim" role="status">${t("cameras.testing")}</span>`}</div>
    ${device && html`<${Profiles} probe=${probe} />`}
    ${seen && html`<${Seen} seen=${seen} />`}</form>`;
}

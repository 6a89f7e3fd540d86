// The cameras of the configuration: add, edit, order, pause and remove. What is changed here is written to the file.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { get, send } from "../lib/api.js";
import { Badge, Button, Dialog, Empty, ErrorNote, Field, Icon, Loading, PageHead, StateBadge, Toggle, confirmed, style, toast, useLoaded } from "../lib/components.js";
import { t } from "../lib/i18n.js";
import { ProbeForm, sourceOf, useProbe } from "../lib/probe.js";
import { status } from "../lib/store.js";
import { cameraLink, queryOf } from "../routes.js";

await style("cameras");

const PATH = "api/v1/cameras";
const pathOf = (name) => `${PATH}/${encodeURIComponent(name)}`;
const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

/** A name that the configuration accepts, from a title; not one of `taken`. */
function nameFrom(title, taken) {
  const plain = title.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  const name = plain.replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40) || "camera";
  if (!taken.includes(name)) return name;
  return `${name}-${[...Array(1000).keys()].find((one) => one > 1 && !taken.includes(`${name}-${one}`))}`;
}

/** In the configuration's texts, "${" begins a reference. */
const literal = (text) => text.replaceAll("${", () => "$${");

/** What moves the camera: the chosen profile, or the first that can. */
function onvifOf({ login, device, profile }) {
  const moving = profile?.ptz ? profile : device?.profiles.find((one) => one.ptz);
  if (!moving) return undefined;
  const { username, password } = login;
  return { address: device.address, username, ...(password && { password: literal(password) }), profile: moving.token };
}

/** Saves, and shows what keeps it from being saved in the dialog itself. */
function useSave(save, onDone) {
  const [error, setError] = useState(null);
  const submit = async () => {
    setError(null);
    try {
      await save();
    } catch (failed) {
      return setError(failed);
    }
    status.refresh();
    onDone();
  };
  return [error, submit];
}

function Add({ taken, search, onClose, onDone }) {
  const probe = useProbe();
  const [title, setTitle] = useState("");
  const [given, setGiven] = useState(null);
  const name = given ?? nameFrom(title, taken);
  const wrong = !NAME.test(name) ? t("cameras.nameWrong") : taken.includes(name) ? t("cameras.nameTaken") : null;
  const source = sourceOf(probe);
  const tested = probe.seen?.ok;
  const [error, save] = useSave(async () => {
    const onvif = onvifOf(probe);
    await send("POST", PATH, { name, source: literal(source), ...(title.trim() && { title: literal(title.trim()) }), ...(onvif && { onvif }) });
    toast(t("cameras.added", { name: title.trim() || name }), "good");
  }, onDone);
  return html`<${Dialog} title=${t("cameras.add")} class="wide" onClose=${onClose} actions=${html`<${Button} onClick=${onClose}>${t("common.cancel")}<//>
      <${Button} kind="primary" disabled=${!source || Boolean(wrong) || probe.busy} onClick=${save}>${t(tested ? "cameras.add" : "cameras.addAnyway")}<//>`}>
    <div class="stack"><${ProbeForm} probe=${probe} search=${search} onFound=${(one) => setTitle((before) => before || one.name || one.hardware)} />
      <div class="pair"><${Field} label=${t("cameras.title")} hint=${t("cameras.titleHint")} value=${title} onInput=${setTitle} maxlength="80" />
        <${Field} label=${t("common.name")} hint=${t("cameras.nameHint")} error=${title || given !== null ? wrong : null} value=${name} onInput=${setGiven} spellcheck="false" maxlength="63" /></div>
      <${ErrorNote} error=${error} /></div><//>`;
}

function Edit({ camera, onClose, onDone }) {
  const [title, setTitle] = useState(camera.title === camera.name ? "" : camera.title);
  const [enabled, setEnabled] = useState(camera.enabled);
  const [replacing, setReplacing] = useState(false);
  const probe = useProbe();
  const source = replacing ? sourceOf(probe) : "";
  const [error, save] = useSave(async () => {
    const onvif = replacing ? onvifOf(probe) : undefined;
    const changes = { title: literal(title.trim()) || null, enabled: enabled ? null : false, ...(source && { source: literal(source) }), ...(onvif && { onvif }) };
    await send("PATCH", pathOf(camera.name), changes);
    toast(t("cameras.saved", { name: title.trim() || camera.name }), "good");
  }, onDone);
  return html`<${Dialog} title=${t("cameras.edit", { name: camera.title })} class="wide" onClose=${onClose} actions=${html`<${Button} onClick=${onClose}>${t("common.cancel")}<//>
      <${Button} kind="primary" disabled=${replacing && (!source || probe.busy)} onClick=${save}>${t("common.save")}<//>`}>
    <div class="stack"><div class="pair"><${Field} label=${t("cameras.title")} value=${title} onInput=${setTitle} maxlength="80" placeholder=${camera.name} />
        <${Toggle} label=${t("cameras.enabled")} checked=${enabled} onChange=${setEnabled} /></div>
      ${replacing
        ? html`<${ProbeForm} probe=${probe} />`
        : html`<p><code class="address">${camera.source}</code></p><div><${Button} onClick=${() => setReplacing(true)}>${t("cameras.replace")}<//></div>
          <p class="hint">${t("cameras.secrets")}</p>`}
      <${ErrorNote} error=${error} /></div><//>`;
}

function Row({ camera, order, index, count, reload, edit }) {
  const { name, title } = camera;
  const remove = async () => {
    if (!(await confirmed({ title: t("cameras.remove"), text: t("cameras.removeText", { name: title }), action: t("common.remove") }))) return;
    await send("DELETE", pathOf(name));
    status.refresh();
    toast(t("cameras.removed", { name: title }));
    reload();
  };
  const pause = async () => {
    await send("POST", `${pathOf(name)}/${camera.paused ? "resume" : "pause"}`);
    reload();
  };
  const key = (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    order.move(index, Math.min(count - 1, Math.max(0, index + step)));
  };
  return html`<li class="camera-row ${order.over === index ? "over" : ""}" onDragOver=${(event) => order.drag(event, index)} onDrop=${(event) => order.drop(event, index)}>
    <button type="button" class="grip" draggable="true" data-camera=${name} aria-label=${t("cameras.moveRow", { name: title })} title=${t("cameras.moveRow", { name: title })}
      onDragStart=${(event) => order.start(event, index)} onDragEnd=${order.end} onKeyDown=${key}><${Icon} name="grip" /></button>
    <div class="what"><h2>${camera.enabled ? html`<a href=${cameraLink("camera", name)}>${title}</a>` : title}</h2><code class="address">${camera.source}</code></div>
    ${camera.enabled ? html`<${StateBadge} state=${camera.state?.state ?? "connecting"} reason=${camera.state?.reason} />` : html`<${Badge}>${t("cameras.disabled")}<//>`}
    ${camera.paused && html`<${Badge}>${t("states.paused")}<//>`}
    <div class="row tight">
      ${camera.paused !== null && html`<${Button} kind="quiet" icon=${camera.paused ? "play" : "pause"} label=${t(camera.paused ? "cameras.resume" : "cameras.pause", { name: title })} onClick=${pause} />`}
      <${Button} kind="quiet" icon="edit" label=${t("cameras.edit", { name: title })} onClick=${() => edit(camera)} />
      <${Button} kind="quiet" icon="trash" label=${t("cameras.removeText", { name: title })} onClick=${remove} /></div></li>`;
}

/** Hook: an order that is dragged or moved by keys, and saved after each move. */
function useOrder(names, save) {
  const dragged = useRef(null);
  const focus = useRef(null);
  useEffect(() => {
    if (focus.current) document.querySelector(`[data-camera="${focus.current}"]`)?.focus();
    focus.current = null;
  });
  const [over, setOver] = useState(null);
  const [said, say] = useState("");
  const move = (from, to) => {
    if (from === to || from === null) return;
    const next = [...names];
    next.splice(to, 0, ...next.splice(from, 1));
    focus.current = names[from]; // moving its row takes the focus away
    say(t("cameras.moved", { name: names[from], place: to + 1 }));
    save(next);
  };
  const end = () => {
    dragged.current = null;
    setOver(null);
  };
  return {
    over, said, move, end,
    start(event, index) {
      dragged.current = index;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", names[index]);
    },
    drag(event, index) {
      if (dragged.current === null) return;
      event.preventDefault();
      setOver(index === dragged.current ? null : index);
    },
    drop(event, index) {
      event.preventDefault();
      move(dragged.current, index);
      end();
    },
  };
}

function List({ cameras, reload, edit }) {
  const [names, setNames] = useState(null);
  const saving = useRef(Promise.resolve());
  const shown = names ? names.map((name) => cameras.find((one) => one.name === name)).filter(Boolean) : cameras;
  const save = (next) => {
    setNames(next);
    saving.current = saving.current.then(() => send("PUT", `${PATH}/order`, { names: next })).then(
      () => status.refresh(),
      (error) => {
        toast(error.message, "bad");
        setNames(null);
        reload();
      },
    );
  };
  const order = useOrder(shown.map((one) => one.name), save);
  return html`<p class="hidden" role="status">${order.said}</p>
    <ol class="cameras">${shown.map((camera, index) => html`<${Row} key=${camera.name} camera=${camera} order=${order} index=${index} count=${shown.length} reload=${reload} edit=${edit} />`)}</ol>
    ${shown.length > 1 && html`<p class="hint">${t("cameras.orderHint")}</p>`}`;
}

export default function Cameras() {
  const { data, error, reload } = useLoaded((signal) => get(PATH, { signal }), []);
  const [open, setOpen] = useState(queryOf().add ? { add: true } : null);
  const close = () => setOpen(null);
  const done = () => {
    close();
    reload();
  };
  return html`<${PageHead} title=${t("cameras.heading")}>
      <${Button} icon="search" onClick=${() => setOpen({ add: true, search: true })}>${t("cameras.search")}<//>
      <${Button} kind="primary" icon="plus" onClick=${() => setOpen({ add: true })}>${t("cameras.add")}<//><//>
    ${error && html`<${ErrorNote} error=${error} retry=${reload} />`}
    ${!data && !error && html`<${Loading} />`}
    ${data && (data.length ? html`<${List} cameras=${data} reload=${reload} edit=${(camera) => setOpen({ camera })} />`
      : html`<${Empty} icon="camera" title=${t("live.none.title")}>${t("cameras.none")}<//>`)}
    ${open?.add && html`<${Add} taken=${(data ?? []).map((one) => one.name)} search=${open.search} onClose=${close} onDone=${done} />`}
    ${open?.camera && html`<${Edit} camera=${open.camera} onClose=${close} onDone=${done} />`}`;
}

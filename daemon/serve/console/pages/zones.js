// Zones, lines and masks drawn on a camera's live picture, with what is counted in them now.

import { html, useEffect, useRef, useState } from "../vendor/preact-htm.js";
import { get, send } from "../lib/api.js";
import { Badge, Button, CameraBadges, Card, Empty, ErrorNote, Field, Icon, Loading, PageHead, Toggle, style, toast, useLoaded } from "../lib/components.js";
import { hasText, t } from "../lib/i18n.js";
import { liveResults, shownDetections } from "../lib/overlay.js";
import { ShapeStage, countOf, titleOf } from "../lib/shape-stage.js";
import { Editor, crossesItself, isLine, isNamed, isPolygon, masksOf, shapesOf } from "../lib/shapes.js";
import { useMay, useStatus, useStore } from "../lib/store.js";
import { useUnsaved } from "../lib/unsaved.js";
import { LiveVideo } from "../lib/video.js";
import { cameraLink, link } from "../routes.js";

await Promise.all([style("video"), style("zones")]);

const editors = new Map(); // by camera: kept while changes are not saved, also if the page is built again

/** The plug-ins, and the shapes of a camera. `zones` is null if no plug-in zones is in the camera's chain. */
async function load(name, signal) {
  const plugins = await get("api/v1/plugins", { signal });
  const all = plugins.filter((one) => one.kind === "zones" && one.cameras.length);
  const zones = all.find((one) => one.cameras.includes(name)) ?? null;
  const plugin = all.length > 1 ? zones?.name : null;
  const masking = plugins.filter((one) => one.kind !== "zones" && one.cameras.includes(name) && "ignore" in one.options);
  const masks = masking.flatMap((one) => masksOf(one, one.options.ignore.live ? null : `plugins.${one.name}`));
  if (!zones) return { plugins, zones, plugin, masking, shapes: masks };
  const forms = await get("api/v1/zones", { query: { plugin }, signal });
  const where = `plugins.${zones.name}.cameras.${name in zones.options.cameras.value ? name : '"*"'}`;
  return { plugins, zones, plugin, masking, shapes: [...shapesOf(forms[name] ?? forms["*"] ?? {}, where), ...masks] };
}

/** What the chain of a camera lacks for zones, in order. */
function missing(plugins, camera) {
  const kinds = camera.chain.map((name) => plugins.find((one) => one.name === name)?.kind ?? name);
  if (kinds.includes("tracker")) return ["zones"];
  return kinds.includes("detector") ? ["tracker", "zones"] : ["detector", "tracker", "zones"];
}

/** Hook: the newest record of the camera's live results, four times a second; every record goes to `overlay`. */
function useResults(name, overlay) {
  const [record, set] = useState(null);
  useEffect(() => {
    let newest = null;
    const forget = liveResults(name, (one) => {
      newest = one;
      overlay.current?.add(one);
    });
    const timer = setInterval(() => set(newest), 250);
    return () => {
      clearInterval(timer);
      forget();
    };
  }, [name]);
  return record;
}

function List({ editor, record, data, free }) {
  const { shapes, selected } = useStore(editor);
  const masks = data.masking.filter((one) => one.options.ignore.live && !one.redacting);
  return html`<${Card} title=${t("zones.list")}>
    ${free && html`<div class="row add">
      ${data.zones && ["zone", "line"].map((kind) => html`<${Button} icon="plus" onClick=${() => editor.draw(kind)}>${t(`zones.add.${kind}`)}<//>`)}
      ${masks.map((one) => html`<${Button} icon="plus" onClick=${() => editor.draw("ignore", one.name)}>${t("zones.add.ignore")}${masks.length > 1 ? ` (${one.name})` : ""}<//>
        <${Button} kind="quiet" icon="plus" onClick=${() => editor.draw("only_inside", one.name)}>${t("zones.add.only_inside")}${masks.length > 1 ? ` (${one.name})` : ""}<//>`)}</div>`}
    ${!shapes.length && html`<p class="dim">${t(free ? "zones.none" : "zones.noneToSee")}</p>`}
    <ul class="shape-list">${shapes.map((one) => html`<li key=${one.key}><button type="button" class="button quiet" aria-pressed=${String(one.key === selected)} onClick=${() => editor.select(one.key)}>
      <span class="swatch ${one.kind}"></span><span class="name">${titleOf(one)}</span><span class="dim">${countOf(one, editor, record)}</span>
      ${one.source !== "api" ? html`<${Badge}>${t("zones.readOnly")}<//>` : editor.differs(one) && html`<${Badge} tone="warn">${t("zones.unsaved")}<//>`}</button></li>`)}</ul><//>`;
}

/** A field for a list of words, separated by commas. */
function Words({ value = [], onChange, ...rest }) {
  const [text, setText] = useState(value.join(", "));
  const words = (typed) => typed.split(",").map((one) => one.trim()).filter(Boolean);
  const shown = String(words(text)) === String(value) ? text : value.join(", ");
  return html`<${Field} value=${shown} onInput=${(typed) => (setText(typed), onChange(words(typed)))} ...${rest} />`;
}

function Options({ shape, editor, errors, record }) {
  const { key, options } = shape;
  const set = (name) => (value) => editor.change(key, { options: { ...shape.options, [name]: value } }, `${key} ${name}`);
  const field = (name, more = {}) => html`<${Field} label=${t(`zones.options.${name}`)} hint=${hasText(`zones.hints.${name}`) ? t(`zones.hints.${name}`) : undefined}
    error=${errors[name]} value=${options[name] ?? ""} onInput=${set(name)} ...${more} />`;
  const seen = [...new Set(record ? shownDetections(record).map((one) => one.class) : [])].join(", ");
  const number = (value) => editor.change(key, { options: { ...shape.options, crowd: value === "" ? null : Number(value) } }, `${key} crowd`);
  const more = ["min_dwell", "leave_after", "left_behind_after", "removed_after", "objects"];
  return html`<${Words} label=${t("zones.options.classes")} hint=${seen ? t("zones.hints.seen", { classes: seen }) : t("zones.hints.classes")} error=${errors.classes} value=${options.classes} onChange=${set("classes")} />
    ${field("active")}
    ${isPolygon(shape) && html`<div class="pair">${field("loiter_after")}${field("crowd", { type: "number", min: 2, step: 1, onInput: number })}</div>
      <details open=${more.some((one) => errors[one])}><summary>${t("zones.more")}</summary><div class="stack">
        <div class="pair">${field("min_dwell", { placeholder: "0.5s" })}${field("leave_after", { placeholder: "1s" })}</div>
        <div class="pair">${field("left_behind_after")}${field("removed_after")}</div>
        <${Words} label=${t("zones.options.objects")} error=${errors.objects} hint=${t("zones.hints.objects")} value=${options.objects} onChange=${set("objects")} /></div></details>`}`;
}

function Where({ shape }) {
  const admin = useMay("admin");
  return html`<p class="note"><span>${t("zones.where")} <code>${shape.where}</code>. ${admin && html`<a href=${link("/settings/configuration")}>${t("zones.configuration")}</a>`}</span></p>`;
}

function Details({ editor, record, data, free, save }) {
  const { errors: all, shapes, selected } = useStore(editor);
  const shape = shapes.find((one) => one.key === selected);
  if (!shape) return free && shapes.length > 0 && html`<p class="dim">${t("zones.choose")}</p>`;
  const errors = all[shape.key] ?? {};
  const crossed = isPolygon(shape) && crossesItself(shape.points);
  const submit = (event) => (event.preventDefault(), save());
  const plugin = data.masking.find((one) => one.name === shape.plugin);
  return html`<${Card} title=${titleOf(shape)} key=${shape.key}><form class="stack" onSubmit=${submit}>
    ${shape.where && html`<${Where} shape=${shape} />`}
    ${(errors.shape || crossed) && html`<${ErrorNote} error=${errors.shape ?? t("zones.crosses")} />`}
    ${plugin && html`<p class="dim">${t(`zones.maskText.${shape.kind}`)} ${t("zones.maskOf", { plugin: plugin.name, cameras: plugin.cameras.join(", ") })}</p>`}
    <fieldset class="stack" disabled=${!free || shape.source !== "api"}><legend class="hidden">${titleOf(shape)}</legend>
      ${isNamed(shape) && html`<${Field} label=${t("common.name")} error=${errors.name} value=${shape.name} maxlength="40" onInput=${(name) => editor.change(shape.key, { name }, `${shape.key} name`)} />
        <${Options} shape=${shape} editor=${editor} errors=${errors} record=${record} />`}</fieldset>
    ${free && shape.source === "api" && html`<div class="row">
      ${isLine(shape) && html`<${Button} icon="reset" onClick=${() => editor.change(shape.key, { points: shape.points.toReversed() })}>${t("zones.reverse")}<//>`}
      <${Button} kind="danger" icon="trash" onClick=${() => editor.remove(shape.key)}>${t("common.remove")}<//></div>`}
    <button type="submit" class="hidden" tabindex="-1" aria-hidden="true"></button></form><//>`;
}

/** Says what to do if zones do not run for the camera, and does it for administrators. */
function Missing({ camera, data, reload, free, busy }) {
  const chain = [...camera.chain, ...missing(data.plugins, camera)];
  const start = async () => {
    await send("PATCH", `api/v1/cameras/${encodeURIComponent(camera.name)}`, { chain });
    toast(t("zones.started"), "good");
    reload();
  };
  return html`<div class="note warn zones-off"><${Icon} name="warning" /><p>${t("zones.off.text")} <code>chain: [${chain.join(", ")}]</code> ${t(free ? "zones.off.admin" : "zones.off.ask")}</p>
    ${free && html`<${Button} kind="primary" disabled=${busy} onClick=${start}>${t("zones.off.start")}<//>`}</div>`;
}

function Edited({ camera, data, reload, away }) {
  const { name } = camera;
  const free = useMay("admin");
  const [editor] = useState(() => (editors.get(name)?.dirty ? editors.get(name) : new Editor(name, data.plugin)));
  const [boxes, setBoxes] = useState(true);
  const overlay = useRef(null);
  const { errors, shapes } = useStore(editor);
  const record = useResults(name, overlay);
  useEffect(() => {
    if (!editor.dirty) editor.load(data.shapes);
    editors.set(name, editor);
  }, [data]);
  useUnsaved(editor.dirty, () => editors.delete(name));
  useEffect(() => {
    const undo = (event) => {
      if (event.key !== "z" || !(event.ctrlKey || event.metaKey) || event.target.matches("input, textarea") || !editor.canUndo) return;
      event.preventDefault();
      editor.undo();
    };
    addEventListener("keydown", undo);
    return () => removeEventListener("keydown", undo);
  }, []);
  const isFree = (shape) => free && shape.source === "api";
  const save = async () => (await editor.save()) && toast(t("zones.saved"), "good");
  const faulty = data.zones?.report && data.zones.report.state !== "running" ? data.zones.report : null;
  const lost = Object.entries(errors).filter(([key, error]) => error?.shape && !shapes.some((one) => one.key === key));
  return html`<${PageHead} title=${t("zones.of", { camera: camera.title })} back=${cameraLink("camera", name)}>
      <${CameraBadges} camera=${camera} away=${away} /><${Toggle} label=${t("zones.boxes")} checked=${boxes} onChange=${setBoxes} />
      ${free && html`<${Button} kind="quiet" icon="reset" disabled=${!editor.canUndo} onClick=${() => editor.undo()}>${t("zones.undo")}<//>
        <${Button} disabled=${!editor.dirty} onClick=${() => editor.revert()}>${t("zones.discard")}<//>
        <${Button} kind="primary" icon="check" disabled=${!editor.dirty} onClick=${save}>${t("common.save")}<//>`}<//>
    ${!data.zones && html`<${Missing} camera=${camera} data=${data} reload=${reload} free=${free} busy=${editor.dirty} />`}
    ${faulty && html`<${ErrorNote} error=${t("zones.faulty", { plugin: data.zones.name, reason: faulty.last_fault ?? faulty.state })} />`}
    ${lost.map(([key, error]) => html`<${ErrorNote} key=${key} error=${error.shape} />`)}
    <div class="camera-page"><${ShapeStage} camera=${camera} editor=${editor} record=${record} overlay=${overlay} boxes=${boxes} isFree=${isFree} />
      <div class="stack"><${List} editor=${editor} record=${record} data=${data} free=${free} /><${Details} editor=${editor} record=${record} data=${data} free=${free} save=${save} /></div></div>`;
}

function Loaded({ camera, away }) {
  const { data, error, reload } = useLoaded((signal) => load(camera.name, signal), []);
  if (error) return html`<${PageHead} title=${t("zones.of", { camera: camera.title })} back=${link("/zones")} /><${ErrorNote} error=${error} retry=${reload} />`;
  return data ? html`<${Edited} camera=${camera} data=${data} reload=${reload} away=${away} />` : html`<${Loading} />`;
}

function Chooser({ cameras }) {
  return html`<${PageHead} title=${t("zones.title")} />
    ${cameras.length ? html`<p class="dim">${t("zones.chooseCamera")}</p>
      <ul class="grid zone-cameras">${cameras.map((one) => html`<li key=${one.name}><a class="card" href=${cameraLink("zones", one.name)}>
        <span class="picture"><${LiveVideo} camera=${one.name} label=${t("live.picture", { camera: one.title })} /></span>
        <span class="row"><strong>${one.title}</strong><${CameraBadges} camera=${one} /></span></a></li>`)}</ul>`
      : html`<${Empty} icon="camera" title=${t("live.none.title")}>${t("live.none.text")}<//>`}`;
}

export default function Zones({ name }) {
  const { data, error } = useStatus();
  if (!data) return error ? html`<${ErrorNote} error=${error} />` : html`<${Loading} />`;
  if (!name) return html`<${Chooser} cameras=${data.cameras} />`;
  const camera = data.cameras.find((one) => one.name === name);
  if (camera) return html`<${Loaded} key=${name} camera=${camera} away=${Boolean(error)} />`;
  return html`<${PageHead} title=${name} back=${link("/zones")} /><${Empty} icon="camera">${t("camera.unknown", { name })}<//>`;
}

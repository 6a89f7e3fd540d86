// Shows the OpenAPI description of this server. Builds elements only, never HTML from text.

const METHODS = ["get", "post", "put", "patch", "delete"];
const DEPTH = 6;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A schema in the words of TypeScript, with references followed. */
function typeOf(schema, components, depth = 0, seen = []) {
  if (!schema || schema === true) return "any";
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    if (seen.includes(name) || depth >= DEPTH) return name;
    return typeOf(components[name], components, depth, [...seen, name]);
  }
  const branches = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (branches) return [...new Set(branches.map((one) => typeOf(one, components, depth, seen)))].join(" | ");
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" | ");
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.prefixItems) return `[${schema.prefixItems.map((one) => typeOf(one, components, depth, seen)).join(", ")}]`;
  if (schema.type === "array") return `Array<${typeOf(schema.items, components, depth, seen)}>`;
  if (schema.properties) {
    const indent = "  ".repeat(depth + 1);
    const required = schema.required ?? [];
    const lines = Object.entries(schema.properties).map(([name, one]) => {
      const about = one.description ? `  // ${one.description}` : "";
      return `${indent}${name}${required.includes(name) ? "" : "?"}: ${typeOf(one, components, depth + 1, seen)}${about}`;
    });
    if (schema.additionalProperties) lines.push(`${indent}[name: string]: any`);
    return `{\n${lines.join("\n")}\n${"  ".repeat(depth)}}`;
  }
  if (schema.type === "object") {
    const inner = schema.additionalProperties;
    return inner ? `Record<string, ${typeOf(inner, components, depth, seen)}>` : "object";
  }
  return Array.isArray(schema.type) ? schema.type.join(" | ") : (schema.type ?? "any");
}

function parameters(operation, components) {
  if (!operation.parameters?.length) return null;
  const rows = operation.parameters.map((one) =>
    element("tr", {},
      element("td", {}, element("code", {}, one.name), one.required ? " (required)" : ""),
      element("td", {}, one.in),
      element("td", {}, typeOf(one.schema, components)),
      element("td", {}, one.description ?? one.schema?.description ?? "")));
  const titles = ["Parameter", "In", "Type", ""].map((title) => element("th", { scope: "col" }, title));
  return element("table", {}, element("thead", {}, element("tr", {}, ...titles)), element("tbody", {}, ...rows));
}

function content(what, media, components) {
  return Object.entries(media ?? {}).map(([type, one]) =>
    element("div", {}, element("p", {}, `${what}, ${type}`), element("pre", {}, typeOf(one.schema, components))));
}

function details(path, method, operation, components) {
  const answers = Object.entries(operation.responses).map(([status, answer]) => {
    const is_success = status.startsWith("2");
    const text = `${status}: ${answer.description}`;
    return element("div", {}, ...(is_success && answer.content
      ? content(text, answer.content, components) : [element("p", {}, text)]));
  });
  return element("details", { id: operation.operationId },
    element("summary", {},
      element("span", { class: "method" }, method.toUpperCase()),
      element("span", { class: "path" }, path),
      element("span", { class: "summary" }, operation.summary ?? ""),
      element("span", { class: "role", title: "role" }, operation["x-role"] ?? "view")),
    element("div", { class: "body" },
      operation.description ? element("p", {}, operation.description) : null,
      parameters(operation, components),
      ...content("Body", operation.requestBody?.content, components),
      ...answers));
}

function show(description) {
  document.title = `${description.info.title} ${description.info.version} API`;
  document.getElementById("about").textContent = description.info.description ?? "";
  const components = description.components?.schemas ?? {};
  const groups = new Map();
  for (const [path, operations] of Object.entries(description.paths)) {
    for (const method of METHODS.filter((one) => operations[one])) {
      const group = operations[method].tags?.[0] ?? "other";
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(details(path, method, operations[method], components));
    }
  }
  const sections = [...groups].map(([name, entries]) =>
    element("section", {}, element("h2", {}, name), ...entries));
  document.getElementById("operations").replaceChildren(...sections);
}

function filter(words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  for (const section of document.querySelectorAll("section")) {
    let some = false;
    for (const entry of section.querySelectorAll("details")) {
      const text = `${section.firstChild.textContent} ${entry.firstChild.textContent}`.toLowerCase();
      entry.hidden = !wanted.every((word) => text.includes(word));
      some ||= !entry.hidden;
    }
    section.hidden = !some;
  }
}

document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value));
try {
  const response = await fetch("openapi.json", { credentials: "same-origin" });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  show(await response.json());
} catch (error) {
  document.getElementById("about").textContent = `The description could not be loaded: ${error.message}.`;
}

// The pages: which module shows which address, and who may open it. Each module in pages/ exports its component as default;
// what stands in braces in a path is a property of it.

const routes = [
  // live
  { path: "/", module: "wall", section: "live", icon: "live", role: "view" },
  { path: "/camera/{name}", module: "camera", section: "live", role: "view" },

  // events
  { path: "/events", module: "events", section: "events", icon: "events", role: "view" },

  // recordings
  { path: "/recordings", module: "recordings", section: "recordings", icon: "recordings", role: "view" },
  { path: "/recordings/{name}", module: "recordings", section: "recordings", role: "view" },

  // zones
  { path: "/zones", module: "zones", section: "zones", icon: "zones", role: "view" },
  { path: "/zones/{name}", module: "zones", section: "zones", role: "view" },

  // faces

  // label

  // styles

  // system

  // settings
  { path: "/settings/cameras", module: "cameras", section: "cameras", icon: "camera", role: "admin" },
  { path: "/settings/users", module: "users", section: "settings", role: "admin" },

  // login
  { path: "/login", module: "login", section: "login", role: "view" },
];

/** The entries of the navigation, in order. */
export const navigation = routes.filter((one) => one.icon);

/** The address of a path such as "/camera/gate". */
export function link(path) {
  return `#${path}`;
}

/** The address of a camera's page, such as cameraLink("camera", "gate"). */
export function cameraLink(section, name) {
  return `#/${section}/${encodeURIComponent(name)}`;
}

/** The query of the address as an object: "#/events?camera=gate" has {camera: "gate"}. */
export function queryOf(hash = location.hash) {
  return Object.fromEntries(new URLSearchParams(hash.split("?")[1] ?? ""));
}

/** Changes the address' query without a new entry in the history. */
export function replaceQuery(values) {
  const search = new URLSearchParams(Object.entries(values).filter(([, value]) => value)).toString();
  history.replaceState(null, "", `${location.hash.split("?")[0] || "#/"}${search ? `?${search}` : ""}`);
}

/** The route of a hash such as "#/camera/gate", with its parameters. An unknown one is the page "missing". */
export function routeOf(hash) {
  const path = hash.replace(/^#/, "").split("?")[0] || "/";
  for (const route of routes) {
    const parameters = parametersOf(route.path, path);
    if (parameters) return { ...route, path, parameters };
  }
  return { path, module: "missing", section: "", role: "view", parameters: { path } };
}

function parametersOf(pattern, path) {
  const parts = pattern.split("/");
  const given = path.split("/");
  if (parts.length !== given.length) return null;
  const parameters = {};
  for (const [index, part] of parts.entries()) {
    if (part.startsWith("{")) parameters[part.slice(1, -1)] = decoded(given[index]);
    else if (part !== given[index]) return null;
  }
  return parameters;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// Icons as paths in a square of 24, drawn with a stroke of the text's colour.

import { html } from "../vendor/preact-htm.js";

const PATHS = {
  live: "M3 5h18v12H3zM8 21h8M12 17v4",
  events: "M12 8v5l3 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18",
  recordings: "M3 6h18v12H3zM3 10h18M7 6v4M12 6v4M17 6v4",
  zones: "M5 5l14 3-3 11-9-2zM5 5h.01M19 8h.01M16 19h.01M7 17h.01",
  faces: "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8M4 21c1-5 4-6 8-6s7 1 8 6",
  label: "M3 11V3h8l10 10-8 8zM7.5 7.5h.01",
  styles: "M12 3a9 9 0 1 0 0 18c2 0 2-1.5 1.5-2.5-.7-1.5.5-2.5 2-2.5H18c2 0 3-1.5 3-4 0-5-4-9-9-9M7.5 12h.01M10 7.5h.01M15 7.5h.01",
  system: "M3 12h4l3-8 4 16 3-8h4",
  settings: "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
  menu: "M4 6h16M4 12h16M4 18h16",
  close: "M6 6l12 12M18 6L6 18",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.5 1.5M17.5 17.5L19 19M19 5l-1.5 1.5M6.5 17.5L5 19",
  moon: "M20 14.5A8.5 8.5 0 1 1 9.5 4a7 7 0 0 0 10.5 10.5",
  auto: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 3v18M12 7h5M12 12h8M12 17h5",
  logout: "M10 4H4v16h6M15 8l4 4-4 4M19 12H9",
  full: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  photo: "M3 7h4l2-3h6l2 3h4v13H3zM12 9.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  back: "M15 5l-7 7 7 7",
  forward: "M9 5l7 7-7 7",
  play: "M7 4l13 8-13 8z",
  pause: "M8 5v14M16 5v14",
  edit: "M4 20h4L20 8l-4-4L4 16zM14 6l4 4",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 14h10l1-14",
  download: "M12 4v11M7 11l5 5 5-5M4 20h16",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M15.5 15.5L20 20",
  check: "M5 13l4 4L19 7",
  warning: "M12 4L2.5 20h19zM12 10v4M12 17h.01",
  grip: "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
  home: "M4 11l8-7 8 7v9h-5v-6H9v6H4z",
  camera: "M3 7h12v10H3zM15 11l6-3v8l-6-3",
  boxes: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4M9 9h6v6H9z",
  reset: "M4 4v6h6M4.5 10A8 8 0 1 1 4 14",
  layouts: "M4 4h10v16H4zM16.5 4H20v4.5h-3.5zM16.5 11H20v9h-3.5z",
  layout1: "M4 4h16v16H4z",
  layout2: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  layout3: "M4 4h4v4H4zM10 4h4v4h-4zM16 4h4v4h-4zM4 10h4v4H4zM10 10h4v4h-4zM16 10h4v4h-4zM4 16h4v4H4zM10 16h4v4h-4zM16 16h4v4h-4z",
};

/** An icon that says nothing to a screen reader: its button or link has a name. */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${PATHS[name]} /></svg>`;
}

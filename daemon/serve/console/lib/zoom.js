// Digital zoom and pan of what is inside an element: mouse wheel, pinch, drag, keyboard, double click.

const MOST = 8;
const STEP = 1.4;
const MOVE = 0.15;

/** Zooms `content` inside `stage`, which must hide what goes beyond it and take the focus. `onChange` gets the scale. */
export class Zoom {
  #stage;
  #content;
  #onChange;
  #scale = 1;
  #x = 0;
  #y = 0;
  #pointers = new Map();
  #control = new AbortController();

  constructor(stage, content, onChange = () => {}) {
    this.#stage = stage;
    this.#content = content;
    this.#onChange = onChange;
    const listen = (name, listener, options) => stage.addEventListener(name, listener, { signal: this.#control.signal, ...options });
    listen("wheel", (event) => this.#wheel(event), { passive: false });
    listen("pointerdown", (event) => this.#down(event));
    listen("pointermove", (event) => this.#move(event));
    listen("pointerup", (event) => this.#pointers.delete(event.pointerId));
    listen("pointercancel", (event) => this.#pointers.delete(event.pointerId));
    listen("dblclick", (event) => this.by(this.#scale > 1 ? 1 / MOST : 2.5, this.#inside(event)));
    listen("keydown", (event) => this.#key(event));
    this.#apply();
  }

  /** Zooms by a factor around a point of the stage, by default its middle. */
  by(factor, [x, y] = [this.#stage.clientWidth / 2, this.#stage.clientHeight / 2]) {
    const scale = Math.min(MOST, Math.max(1, this.#scale * factor));
    this.#x = x - ((x - this.#x) * scale) / this.#scale;
    this.#y = y - ((y - this.#y) * scale) / this.#scale;
    this.#scale = scale;
    this.#apply();
  }

  closer() {
    this.by(STEP);
  }

  farther() {
    this.by(1 / STEP);
  }

  reset() {
    this.by(1 / MOST);
  }

  close() {
    this.#control.abort();
  }

  #pan(x, y) {
    this.#x += x;
    this.#y += y;
    this.#apply();
  }

  #apply() {
    const room = (size) => size * (1 - this.#scale);
    this.#x = Math.min(0, Math.max(room(this.#stage.clientWidth), this.#x));
    this.#y = Math.min(0, Math.max(room(this.#stage.clientHeight), this.#y));
    this.#content.style.transformOrigin = "0 0";
    this.#content.style.transform = this.#scale === 1 ? "" : `translate(${this.#x}px, ${this.#y}px) scale(${this.#scale})`;
    this.#stage.style.touchAction = this.#scale === 1 ? "pan-y" : "none";
    this.#stage.classList.toggle("zoomed", this.#scale > 1);
    this.#onChange(this.#scale);
  }

  #inside(event) {
    const { left, top } = this.#stage.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  #wheel(event) {
    if (this.#scale === 1 && event.deltaY > 0 && !event.ctrlKey) return; // scrolls the page
    event.preventDefault();
    this.by(Math.exp(-event.deltaY / (event.ctrlKey ? 100 : 400)), this.#inside(event));
  }

  #down(event) {
    this.#pointers.set(event.pointerId, event);
    if (this.#scale > 1 && event.target.closest("button") === null) this.#stage.setPointerCapture(event.pointerId);
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const other = [...this.#pointers.values()].find((one) => one.pointerId !== event.pointerId);
    if (other) {
      const distance = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      const middle = this.#inside({ clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 });
      this.by(distance(event) / Math.max(1, distance(before)), middle);
    } else if (this.#scale > 1) this.#pan(event.clientX - before.clientX, event.clientY - before.clientY);
    this.#pointers.set(event.pointerId, event);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.#stage) return;
    const [width, height] = [MOVE * this.#stage.clientWidth, MOVE * this.#stage.clientHeight];
    const action = {
      "+": () => this.closer(),
      "=": () => this.closer(),
      "-": () => this.farther(),
      0: () => this.reset(),
      ArrowLeft: () => this.#pan(width, 0),
      ArrowRight: () => this.#pan(-width, 0),
      ArrowUp: () => this.#pan(0, height),
      ArrowDown: () => this.#pan(0, -height),
    }[event.key];
    if (!action || (event.key.startsWith("Arrow") && this.#scale === 1)) return;
    event.preventDefault();
    action();
  }
}

"use strict";

/* Theme: applied before the first paint. Storage may be closed to a page from a file. */
const storedTheme = (value) => {
  try {
    if (value) localStorage.setItem("talkbench-theme", value);
    return localStorage.getItem("talkbench-theme");
  } catch {
    return null;
  }
};
if (storedTheme()) document.documentElement.dataset.theme = storedTheme();

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  storedTheme(root.dataset.theme);
}

/* Tables: sorting moves whole methods within their group; rows without a number come last either way. */
function compareKeys(a, b, descending) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const [x, y] = [Number(a), Number(b)];
  const order = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x === y ? 0 : x - y;
  return descending ? -order : order;
}

function sortTable(button) {
  const head = button.closest("th");
  const table = head.closest("table");
  const column = head.cellIndex;
  const first = button.dataset.down === "true" ? "descending" : "ascending";
  const other = first === "descending" ? "ascending" : "descending";
  const direction = head.ariaSort === first ? other : first;
  for (const th of table.querySelectorAll("th[aria-sort]")) th.ariaSort = "none";
  head.ariaSort = direction;
  const key = (body) => (body.rows[0].cells[column]?.dataset.key ?? "").replace(/^inf$/, "Infinity");
  for (const name of ["trained", "reference"]) {
    const bodies = [...table.querySelectorAll(`tbody.${name}`)];
    if (!bodies.length) continue;
    const next = bodies.at(-1).nextSibling;
    bodies.sort((a, b) => compareKeys(key(a), key(b), direction === "descending"));
    for (const body of bodies) table.insertBefore(body, next);
  }
}

function expandRows(button) {
  const open = button.ariaExpanded !== "true";
  button.ariaExpanded = String(open);
  for (const row of button.closest("tbody").querySelectorAll("tr.cell")) row.hidden = !open;
}

/* Videos: embedded ones are kept as text until their subject comes into view, so that the page opens at once. */
const urls = new Map();
function videoUrl(name) {
  if (!urls.has(name)) {
    const script = document.querySelector(`script[data-media="${CSS.escape(name)}"]`);
    if (!script) return name;
    const bytes = Uint8Array.from(atob(script.textContent.trim()), (c) => c.charCodeAt(0));
    urls.set(name, URL.createObjectURL(new Blob([bytes], { type: "video/mp4" })));
    script.remove();
  }
  return urls.get(name);
}

const MAX_DRIFT = 0.08; // seconds: two frames at the field's 25 FPS
const UNITS = { psnr: ["PSNR", 2, "dB"], lmd: ["LMD", 2, "px"] };

class Players {
  constructor(element, data) {
    Object.assign(this, data);
    this.element = element;
    this.frame = 0;
    this.loop = true;
    this.find = (selector) => element.querySelector(selector);
    this.all = (selector) => [...element.querySelectorAll(selector)];
    this.players = this.all("video[data-player]");
    this.sides = this.all("video[data-a], video[data-b]");
    this.tick = this.tick.bind(this);
    element.addEventListener("click", (event) => this.click(event));
    element.addEventListener("input", (event) => this.input(event));
    element.addEventListener("pointerdown", (event) => this.drag(event));
    element.addEventListener("pointermove", (event) => event.buttons && this.drag(event));
    this.show();
  }

  get videos() {
    return [...this.players, ...this.sides].filter((video) => video.src && !video.closest("figure[hidden]"));
  }

  /* All follow one clock: the ground truth's, else that of the first method shown. */
  get clock() {
    return this.videos[0];
  }

  open() {
    for (const video of this.players) {
      video.src = videoUrl(this.tracks[video.closest("figure").dataset.track].video);
    }
    if (this.players.length) this.players[0].muted = this.find("[data-do=sound]").ariaPressed !== "true";
    this.all("[data-side]").forEach((select) => this.choose(select));
    this.seek(this.frame);
  }

  choose(select) {
    const video = this.find(select.dataset.side === "left" ? "video[data-a]" : "video[data-b]");
    video.src = videoUrl(this.tracks[select.value].video);
    video.currentTime = this.time(this.frame);
    if (this.playing) video.play();
  }

  /* The middle of a frame: at its very start, rounding may show the one before. */
  time(frame) {
    return (frame + 0.5) / this.fps;
  }

  seek(frame) {
    this.frame = Math.max(0, Math.min(this.ids.length - 1, Math.round(frame)));
    for (const video of this.videos) video.currentTime = this.time(this.frame);
    this.show();
  }

  step(by) {
    this.pause();
    this.seek(this.frame + by);
  }

  play() {
    if (!this.clock) return;
    if (this.frame >= this.ids.length - 1) this.seek(0);
    for (const other of subjects) if (other !== this) other.pause();
    this.playing = true;
    for (const video of this.videos) {
      video.playbackRate = Number(this.find("[data-speed]").value);
      video.play().catch(() => {}); // interrupted by a pause or a seek: the next tick settles it
    }
    this.find("[data-do=play]").textContent = "Pause";
    requestAnimationFrame(this.tick);
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    for (const video of this.videos) video.pause();
    this.find("[data-do=play]").textContent = "Play";
    this.seek(this.frame);
  }

  tick() {
    if (!this.playing) return;
    const now = this.clock.currentTime;
    this.frame = Math.max(0, Math.min(this.ids.length - 1, Math.floor(now * this.fps)));
    for (const video of this.videos) {
      if (video !== this.clock && !video.seeking && Math.abs(video.currentTime - now) > MAX_DRIFT) video.currentTime = now;
    }
    this.show();
    if (this.clock.ended || now >= this.ids.length / this.fps) {
      if (!this.loop) return this.pause();
      this.seek(0);
      for (const video of this.videos) video.play().catch(() => {});
    }
    requestAnimationFrame(this.tick);
  }

  /* Everything that tells the frame: slider, heads, numbers. */
  show() {
    const { frame, ids, fps } = this;
    const last = Math.max(1, ids.length - 1);
    this.element.style.setProperty("--head", `${(100 * frame) / last}%`);
    this.find("[data-seek]").value = frame;
    const output = this.find("output");
    if (output) output.textContent = `frame ${ids[frame]}, ${frame + 1} of ${ids.length}, ${(frame / fps).toFixed(2)} s`;
    for (const caption of this.all("[data-values]")) {
      const values = Object.entries(this.tracks[caption.closest("figure").dataset.track].values);
      caption.textContent = values
        .filter(([, series]) => series[frame] !== null)
        .map(([name, series]) => `${UNITS[name][0]} ${series[frame].toFixed(UNITS[name][1])} ${UNITS[name][2]}`)
        .join(", ");
    }
  }

  toggle(name) {
    const button = this.find(`[data-do=${name}]`);
    if (!button) return;
    const on = button.ariaPressed !== "true";
    button.ariaPressed = String(on);
    if (name === "loop") this.loop = on;
    if (name === "sound") this.players[0].muted = !on;
    if (name === "mouth") this.element.classList.toggle("zoom", on);
    if (name === "difference") this.find(".compare").dataset.mode = on ? "difference" : "wipe";
  }

  click({ target }) {
    active = this;
    const button = target.closest("button");
    if (!button) return;
    const act = button.dataset.do;
    if (act === "play") this.playing ? this.pause() : this.play();
    else if (act === "back" || act === "next") this.step(act === "next" ? 1 : -1);
    else if (act) this.toggle(act);
    else if (button.matches(".jump")) this.jump(button);
  }

  /* To a bad frame, with its method beside the ground truth. */
  jump(button) {
    const right = this.find("[data-side=right]");
    if (right && [...right.options].some((option) => option.value === button.dataset.track)) {
      right.value = button.dataset.track;
      this.choose(right);
    }
    this.pause();
    this.seek(Number(button.dataset.frame));
  }

  input({ target }) {
    active = this;
    if (target.matches("[data-seek]")) this.seek(Number(target.value));
    else if (target.matches("[data-wipe]")) this.element.style.setProperty("--wipe", `${target.value}%`);
    else if (target.matches("[data-side]")) this.choose(target);
    else if (target.matches("[data-speed]")) for (const video of this.videos) video.playbackRate = Number(target.value);
    else if (target.matches("[data-show]")) {
      for (const part of this.all(`figure[data-track="${target.dataset.show}"], path[data-track="${target.dataset.show}"]`)) {
        part.toggleAttribute("hidden", !target.checked);
      }
      if (this.playing) this.play();
      else this.seek(this.frame);
    }
  }

  drag(event) {
    const area = event.target.closest("[data-scrub], .stage");
    if (!area) return;
    const box = area.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    active = this;
    if (area.matches("[data-scrub]")) this.seek(x * (this.ids.length - 1));
    else if (this.element.matches(".zoom") && event.type === "pointerdown") this.centre(x, y);
    else if (area.closest(".compare")) {
      const wipe = Math.max(0, Math.min(100, Math.round(100 * x)));
      this.find("[data-wipe]").value = wipe;
      this.element.style.setProperty("--wipe", `${wipe}%`);
    }
  }

  /* The clicked point of an enlarged picture becomes the point that is enlarged. */
  centre(x, y) {
    const style = getComputedStyle(this.find("video"));
    const [left, top] = style.transformOrigin.split(" ").map(parseFloat);
    const scale = new DOMMatrix(style.transform).a;
    const place = (at, origin, size) => Math.max(0, Math.min(100, (100 * (origin + (at * size - origin) / scale)) / size));
    const { offsetWidth, offsetHeight } = this.find("video");
    this.element.style.setProperty("--x", `${place(x, left, offsetWidth)}%`);
    this.element.style.setProperty("--y", `${place(y, top, offsetHeight)}%`);
  }
}

let subjects = [];
let active = null;

function press(event) {
  const { key, target } = event;
  if (!active || event.ctrlKey || event.metaKey || event.altKey || target.matches("select, input, pre")) return;
  const far = event.shiftKey ? 10 : 1;
  const letters = { l: "loop", m: "mouth", d: "difference" };
  if (key === " " && !target.matches("button, summary, a")) active.playing ? active.pause() : active.play();
  else if (key === "ArrowLeft") active.step(-far);
  else if (key === "ArrowRight") active.step(far);
  else if (letters[key.toLowerCase()]) return active.toggle(letters[key.toLowerCase()]);
  else return;
  event.preventDefault();
}

document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("theme").addEventListener("click", toggleTheme);
  for (const button of document.querySelectorAll(".sort")) button.addEventListener("click", () => sortTable(button));
  for (const button of document.querySelectorAll("button.expand")) button.addEventListener("click", () => expandRows(button));
  const data = JSON.parse(document.getElementById("data").textContent);
  subjects = [...document.querySelectorAll(".subject")].map((element, index) => new Players(element, data.subjects[index]));
  active = subjects[0] ?? null;
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        subjects[target.dataset.index].open();
        watcher.unobserve(target);
      }
    },
    { rootMargin: "400px" },
  );
  /* The keyboard speaks to the subject in the middle of the window. */
  const middle = new IntersectionObserver(
    (entries) => entries.forEach((entry) => entry.isIntersecting && (active = subjects[entry.target.dataset.index])),
    { rootMargin: "-49% 0px" },
  );
  for (const { element } of subjects) {
    watcher.observe(element);
    middle.observe(element);
  }
  document.addEventListener("keydown", press);
});

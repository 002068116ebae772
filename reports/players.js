const MODES = ["difference", "heat"];
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
    this.opened = true;
    for (const video of this.players) if (!video.closest("[hidden]")) this.load(video, video.closest("figure").dataset.track);
    if (this.players.length) this.players[0].muted = this.find("[data-do=sound]").ariaPressed !== "true";
    for (const select of this.all("[data-side]")) this.load(this.side(select), select.value);
    this.seek(this.frame);
  }

  load(video, track) {
    video.preload = "auto";
    video.src = videoUrl(this.tracks[track].video);
  }

  side(select) {
    return this.find(select.dataset.side === "left" ? "video[data-a]" : "video[data-b]");
  }

  choose(select) {
    this.load(this.side(select), select.value);
    this.seek(this.frame);
  }

  get isSeen() {
    const { top, bottom } = this.element.getBoundingClientRect();
    return top < innerHeight && bottom > 0;
  }

  get speed() {
    return Number(this.find("[data-speed]").value);
  }

  /* The middle of a frame: at its very start, rounding may show the one before. */
  time(frame) {
    return (frame + 0.5) / this.fps;
  }

  seek(frame) {
    this.frame = Math.max(0, Math.min(this.ids.length - 1, Math.round(frame)));
    for (const video of this.videos) video.currentTime = this.time(this.frame);
    this.show();
    if (this.playing) this.start();
  }

  step(by) {
    this.pause();
    this.seek(this.frame + by);
  }

  play() {
    if (!this.clock) return;
    for (const other of subjects) if (other !== this) other.pause();
    this.playing = true;
    this.find("[data-do=play]").textContent = "Pause";
    this.seek(this.frame >= this.ids.length - 1 ? 0 : this.frame);
  }

  /* All go off together, once each of them can. A later start takes the place of one that still waits. */
  async start() {
    const start = (this.latest = {});
    const videos = this.videos;
    for (const video of videos) video.pause();
    await Promise.all(videos.map(ready));
    if (this.latest !== start) return;
    for (const video of videos) {
      video.ahead = 0;
      video.playbackRate = this.speed;
      video.play().catch(() => {}); // interrupted by a pause or a seek, which settle it
    }
    requestAnimationFrame(() => this.tick(start));
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    this.latest = null;
    for (const video of this.videos) video.pause();
    this.find("[data-do=play]").textContent = "Play";
    this.seek(this.frame);
  }

  tick(start) {
    if (this.latest !== start) return;
    const [clock, ...others] = this.videos;
    const now = clock.currentTime;
    this.frame = Math.max(0, Math.min(this.ids.length - 1, Math.floor(now * this.fps)));
    if (clock.ended || now >= this.ids.length / this.fps) return this.finish();
    for (const video of others) follow(video, now, this.fps, this.speed);
    this.show();
    requestAnimationFrame(() => this.tick(start));
  }

  finish() {
    this.frame = this.ids.length - 1;
    if (this.loop) this.seek(0);
    else this.pause();
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
    if (MODES.includes(name)) {
      this.find(".compare").dataset.mode = on ? name : "wipe";
      for (const other of MODES) if (other !== name) this.find(`[data-do=${other}]`).ariaPressed = "false";
    }
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
    else if (target.matches("[data-speed]")) this.clock.playbackRate = this.speed; // the others follow
    else if (target.matches("[data-show]")) this.switch(target.dataset.show, target.checked);
  }

  switch(track, on) {
    for (const part of this.all(`figure[data-track="${track}"], path[data-track="${track}"]`)) part.toggleAttribute("hidden", !on);
    const video = this.find(`figure[data-track="${track}"] video`);
    if (on && video && this.opened && !video.src) this.load(video, track);
    this.seek(this.frame);
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
  if (!active?.isSeen || event.ctrlKey || event.metaKey || event.altKey || target.matches("select, input, pre")) return;
  const far = event.shiftKey ? 10 : 1;
  const letters = { l: "loop", m: "mouth", d: "difference", h: "heat" };
  if (key === " " && !target.matches("button, summary, a")) active.playing ? active.pause() : active.play();
  else if (key === "ArrowLeft") active.step(-far);
  else if (key === "ArrowRight") active.step(far);
  else if (letters[key.toLowerCase()]) return active.toggle(letters[key.toLowerCase()]);
  else return;
  event.preventDefault();
}

document.addEventListener("DOMContentLoaded", () => {
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

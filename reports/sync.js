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

/* A video that is behind or ahead of the clock runs faster or slower until it has caught up: a seek would stop it for a
   moment. Only what is far off (the machine was busy, the page in the background) is set. Videos tell their time unsteadily,
   by up to a frame, so what counts is the mean over some ticks. */
const FAR_OFF = 3; // frames
const CATCH_UP = 0.75; // of the speed, at most
const CLOSE_BY = 0.2; // frames: less isn't corrected

function follow(video, now, fps, speed) {
  if (video.seeking || video.ended) return;
  const ahead = (video.currentTime - now) * fps;
  video.ahead += (Math.abs(ahead) > 1 ? 0.6 : 0.25) * (ahead - video.ahead);
  const off = Math.abs(video.ahead);
  if (off > FAR_OFF) {
    video.currentTime = now;
    video.ahead = 0;
  }
  const bend = off < CLOSE_BY ? 0 : Math.sign(video.ahead) * Math.min(CATCH_UP, 0.1 * off + 0.2 * off * off);
  const rate = speed * (1 - Math.round(20 * bend) / 20);
  if (video.playbackRate !== rate) video.playbackRate = rate;
}

/* Resolves when the video can go on from where it was set to, or never will. */
function ready(video) {
  return new Promise((resolve) => {
    const events = ["seeked", "canplay", "error"];
    const check = () => {
      const enough = video.duration - video.currentTime > 0.1 ? 3 : 2; // behind the last frame there is nothing to come
      if (!video.error && (video.seeking || video.readyState < enough)) return;
      for (const name of events) video.removeEventListener(name, check);
      resolve();
    };
    for (const name of events) video.addEventListener(name, check);
    check();
  });
}

// Playback.

const SPEEDS = [1, 2, 4, 8, 16, 32, 60]; // steps per second
const SLOW = 8;

function playerOf(button, speed, { advance, changed }) {
  let playing = false, last = 0, due = 0;

  function frame(now) {
    if (!playing) return;
    due += (Math.min(now - last, 250) / 1000) * SPEEDS[speed.value];
    last = now;
    const whole = Math.floor(due);
    due -= whole;
    if (whole && !advance(whole)) stop();
    if (playing) requestAnimationFrame(frame);
  }

  function start() {
    playing = true;
    last = performance.now();
    due = 1; // the first step at once
    show();
    requestAnimationFrame(frame);
  }

  function stop() {
    if (!playing) return;
    playing = false;
    show();
  }

  function show() {
    button.textContent = playing ? "Pause" : "Play";
    button.setAttribute("aria-pressed", String(playing));
    changed(playing);
  }

  const tell = () => speed.setAttribute("aria-valuetext", `${SPEEDS[speed.value]} steps per second`);
  speed.addEventListener("input", tell);
  tell();
  const toggle = () => (playing ? stop() : start());
  return { start, stop, toggle, get playing() { return playing; } };
}

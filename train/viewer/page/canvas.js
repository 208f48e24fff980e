// Canvases that are sharp on every screen, and pointer events over them.

function context(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return ctx;
}

const fontOf = (size, weight = 400) =>
  `${weight} ${size}px ${getComputedStyle(document.body).fontFamily}`;

// A box that is visible on every colour.
function outline(ctx, box, width) {
  ctx.strokeStyle = theme.panel;
  ctx.lineWidth = width + 2;
  ctx.strokeRect(...box);
  ctx.strokeStyle = theme.ink;
  ctx.lineWidth = width;
  ctx.strokeRect(...box);
}

// Round numbers for the labels of an axis.
function ticks(first, last, most) {
  const rough = Math.max((last - first) / most, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const gap = [1, 2, 5, 10].map((k) => k * power).find((size) => size >= rough);
  const found = [];
  for (let at = Math.ceil(first / gap) * gap; at <= last; at += gap) found.push(at);
  return found;
}

// Reports pointer events over a view: the step under it, a chosen step, a span.
function watchPointer(element, stepAt, { hover, choose, span }) {
  let start = null, dragged = false;
  element.addEventListener("pointermove", (event) => {
    const step = stepAt(event.clientX, event.clientY);
    if (start !== null && step !== null && event.pointerType !== "touch") {
      dragged ||= step !== start;
      if (dragged) span(start, step);
    }
    if (event.pointerType !== "touch") hover(step, event);
  });
  element.addEventListener("pointerleave", () => hover(null));
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = stepAt(event.clientX, event.clientY);
    dragged = false;
  });
  window.addEventListener("pointerup", () => (start = null));
  window.addEventListener("pointercancel", () => (start = null));
  element.addEventListener("click", (event) => {
    const step = stepAt(event.clientX, event.clientY);
    if (!dragged && step !== null) choose(step, event.shiftKey);
  });
}

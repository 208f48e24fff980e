// The chosen unit over all steps, with the current step, the span and the followed feature.

function overviewOf(canvas, jump) {
  const high = 46, still = make("canvas");
  let dragging = false, width = 0;
  const x = (at) => (at / steps) * width;
  const y = (level) => 3 + (high - 12) * (1 - level / (LEVELS - 1));

  // Draws, once, the parts that do not change with the step.
  function drawStill(paint, feature) {
    width = canvas.parentElement.clientWidth;
    const ctx = context(still, width, high);
    ctx.strokeStyle = theme.line;
    ctx.lineWidth = 1;
    if (paint.scale.map === "around") {
      ctx.beginPath();
      ctx.moveTo(0, y((LEVELS - 1) / 2));
      ctx.lineTo(width, y((LEVELS - 1) / 2));
      ctx.stroke();
    }
    ctx.strokeStyle = theme.muted;
    ctx.stroke(envelope(paint));
    if (feature) drawFeature(ctx, feature);
  }

  function draw({ step, hovered, span }) {
    const ctx = context(canvas, width, high);
    ctx.drawImage(still, 0, 0, width, high);
    if (span) {
      ctx.fillStyle = theme.mark;
      ctx.globalAlpha = 0.2;
      ctx.fillRect(x(span[0]), 0, Math.max(2, x(span[1] + 1) - x(span[0])), high);
      ctx.globalAlpha = 1;
    }
    for (const [at, colour] of [[hovered, theme.muted], [step, theme.ink]]) {
      if (at === null) continue;
      ctx.fillStyle = colour;
      ctx.fillRect(x(at + 0.5) - 1, 0, 2, high);
    }
  }

  // From the minimum to the maximum of the steps that share a pixel.
  function envelope(paint) {
    const path = new Path2D();
    const stride = Math.max(1, Math.floor(steps / width));
    let begun = false;
    for (let from = 0; from < steps; from += stride) {
      let low = LEVELS, top = -1;
      for (let step = from; step < Math.min(from + stride, steps); step++) {
        if (!isKnown(paint, step)) continue;
        if (paint.levels[step] < low) low = paint.levels[step];
        if (paint.levels[step] > top) top = paint.levels[step];
      }
      if (top < 0) continue;
      const at = x(from + 0.5);
      if (begun) path.lineTo(at, y(low));
      else path.moveTo(at, y(low));
      if (top > low) path.lineTo(at, y(top));
      begun = true;
    }
    return path;
  }

  function drawFeature(ctx, feature) {
    ctx.fillStyle = theme.mark;
    if (feature.boolean) {
      for (let step = 0; step < steps; step++) {
        if (feature.values[step]) ctx.fillRect(x(step), high - 4, Math.max(1, x(1)), 3);
      }
      return;
    }
    ctx.strokeStyle = theme.mark;
    ctx.beginPath();
    const stride = Math.max(1, Math.floor(steps / width));
    for (let step = 0; step < steps; step += stride) {
      ctx.lineTo(x(step + 0.5), y(feature.values[step]));
    }
    ctx.stroke();
  }

  const stepAt = (event) => {
    const box = canvas.getBoundingClientRect();
    const step = Math.floor(((event.clientX - box.left) / box.width) * steps);
    return Math.max(0, Math.min(steps - 1, step));
  };
  canvas.addEventListener("pointerdown", (event) => {
    dragging = true;
    canvas.setPointerCapture(event.pointerId);
    jump(stepAt(event));
  });
  canvas.addEventListener("pointermove", (event) => dragging && jump(stepAt(event)));
  canvas.addEventListener("pointerup", () => (dragging = false));
  canvas.addEventListener("pointercancel", () => (dragging = false));
  return { draw, drawStill };
}

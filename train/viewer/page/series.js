// A series on coloured bands, one per step; `lines.js` or `roll.js` draw over them.

const NAME = 92, AXIS = 22; // widths of the names and height of the axis

function seriesView(panel, base, over, space) {
  const place = { zoom: 0, height: 0, xOf, middle, inSight, panel };
  const rows = content.kind === "roll" ? rollRows(place) : lineRows(place);
  let fit = 1;

  // Pixels per step and per row.
  function layout() {
    fit = Math.max(0.02, (panel.clientWidth - NAME - EDGE) / rows.length);
    if (place.zoom < fit) place.zoom = fit;
    const free = Math.floor((panel.clientHeight - AXIS) / rows.count);
    place.height = Math.max(rows.least, Math.min(rows.most, free));
    const zoomed = place.zoom > fit * 1.001;
    space.style.width = zoomed ? `${NAME + rows.length * place.zoom + EDGE}px` : "100%";
    space.style.height = `${Math.max(total() + AXIS, panel.clientHeight)}px`;
  }

  function xOf(step) {
    return NAME + step * place.zoom - panel.scrollLeft;
  }

  function middle(step) {
    return xOf(step) + place.zoom / 2;
  }

  function total() {
    return rows.count * place.height;
  }

  function inSight() {
    const first = Math.max(0, Math.floor(panel.scrollLeft / place.zoom) - 1);
    const last = Math.ceil((panel.scrollLeft + panel.clientWidth - NAME) / place.zoom);
    return [first, Math.min(rows.length - 1, last)];
  }

  function drawBase(paint, feature) {
    layout();
    const ctx = context(base, panel.clientWidth, panel.clientHeight);
    ctx.save();
    ctx.translate(0, -panel.scrollTop);
    if (place.zoom >= 1) drawBands(ctx, paint);
    else drawMeans(ctx, paint);
    ctx.fillStyle = theme.panel;
    for (let k = 1; rows.gap && k <= rows.count; k++) {
      ctx.fillRect(NAME, k * place.height - rows.gap, panel.clientWidth, rows.gap);
    }
    if (feature?.boolean) drawMarks(ctx, feature);
    rows.draw(ctx);
    ctx.fillStyle = theme.panel;
    ctx.fillRect(0, 0, NAME, Math.max(total(), panel.clientHeight + panel.scrollTop));
    rows.drawNames(ctx);
    ctx.restore();
    drawAxis(ctx);
  }

  function drawBands(ctx, paint) {
    const { css } = maps[paint.scale.map], [first, last] = inSight();
    for (let step = first; step <= Math.min(last, steps - 1); step++) {
      if (!isKnown(paint, step)) continue;
      const x = Math.round(xOf(step));
      ctx.fillStyle = css[paint.levels[step]];
      ctx.fillRect(x, 0, Math.round(xOf(step + 1)) - x, total());
    }
  }

  // Several steps in a pixel: their mean.
  function drawMeans(ctx, paint) {
    const { css } = maps[paint.scale.map];
    for (let x = NAME; x < panel.clientWidth; x++) {
      const from = Math.floor((x - NAME + panel.scrollLeft) / place.zoom);
      const next = Math.floor((x + 1 - NAME + panel.scrollLeft) / place.zoom);
      const to = Math.min(steps, Math.max(from + 1, next));
      let sum = 0, known = 0;
      for (let step = from; step < to; step++) {
        if (isKnown(paint, step)) [sum, known] = [sum + paint.levels[step], known + 1];
      }
      if (!known) continue;
      ctx.fillStyle = css[Math.round(sum / known)];
      ctx.fillRect(x, 0, 1, total());
    }
  }

  // The steps at which a boolean feature is true.
  function drawMarks(ctx, feature) {
    const [first, last] = inSight();
    ctx.fillStyle = theme.mark;
    for (let step = first; step <= Math.min(last, steps - 1); step++) {
      if (!feature.values[step]) continue;
      const x = Math.round(xOf(step)), width = Math.max(Math.round(xOf(step + 1)) - x, 1);
      ctx.fillRect(x, total() - rows.gap + 1, width, 3);
    }
  }

  function drawAxis(ctx) {
    const y = Math.min(panel.clientHeight - AXIS, total() - panel.scrollTop);
    ctx.fillStyle = theme.panel;
    ctx.fillRect(0, y + 3, panel.clientWidth, AXIS);
    ctx.font = fontOf(11);
    ctx.fillStyle = theme.muted;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    const [first, last] = inSight();
    for (const step of ticks(first + 1, last + 1, Math.max(2, panel.clientWidth / 90))) {
      const x = middle(step - 1);
      const seen = step >= 1 && x >= NAME && x < panel.clientWidth - 12;
      if (seen) ctx.fillText(count(step), x, y + 13);
    }
    ctx.textAlign = "right";
    ctx.fillText("step", NAME - 8, y + 13);
  }

  // The chosen step, the one under the pointer, the span and a forecast.
  function drawOver(step, hovered, span) {
    layout();
    const ctx = context(over, panel.clientWidth, panel.clientHeight);
    ctx.beginPath();
    ctx.rect(NAME - 2, 0, panel.clientWidth, panel.clientHeight);
    ctx.clip();
    const bottom = Math.min(panel.clientHeight - AXIS, total() - panel.scrollTop) - rows.gap;
    if (span) {
      ctx.strokeStyle = theme.mark;
      ctx.lineWidth = 2;
      ctx.strokeRect(xOf(span[0]), 1, (span[1] - span[0] + 1) * place.zoom, bottom - 1);
    }
    rows.drawOver?.(ctx, hovered ?? step);
    for (const [at, width] of [[hovered, 1.5], [step, 2.5]]) {
      if (at === null) continue;
      outline(ctx, [xOf(at) - 0.5, 1, Math.max(place.zoom, 2) + 1, bottom - 2], width);
    }
  }

  function stepAt(clientX, clientY) {
    const box = panel.getBoundingClientRect();
    const x = clientX - box.left - NAME, y = clientY - box.top;
    if (x < 0 || y > Math.min(panel.clientHeight - AXIS, total() - panel.scrollTop)) return null;
    const step = Math.floor((x + panel.scrollLeft) / place.zoom);
    return step < steps ? step : null;
  }

  function reveal(step) {
    layout();
    const x = step * place.zoom, seen = panel.clientWidth - NAME, left = panel.scrollLeft;
    if (x < left || x + place.zoom > left + seen) panel.scrollLeft = x - seen / 3;
  }

  // Zooms, keeping a step in place.
  function magnify(factor, at) {
    layout();
    const before = xOf(at);
    place.zoom = Math.max(fit, Math.min(80, place.zoom * factor));
    layout();
    panel.scrollLeft = NAME + at * place.zoom - before;
  }

  function vertical(step, rows) {
    return Math.max(0, Math.min(steps - 1, step + rows * Math.max(1, Math.round(40 / place.zoom))));
  }

  function resized() {
    if (place.zoom <= fit * 1.001) place.zoom = 0;
  }

  return { drawBase, drawOver, stepAt, reveal, vertical, resized, magnify };
}

// Columns of numbers over time, or a piano roll, on bands of colour: a band for each step.

const NAME = 92, AXIS = 22, BETWEEN = 6, LEAST = 34, MOST_HIGH = 460, KEY = 9;

function seriesView(panel, base, over, space) {
  const { columns, values } = content;
  const rolls = content.kind === "roll";
  const rows = rolls ? [] : columns.map((name, k) => column(name, k));
  const keys = rolls ? sounding() : null;
  const length = rolls ? steps : values.length / columns.length; // with what comes after, if known
  const wanted = content.forecasts;
  let zoom = 0, fit = 1, height = 0;

  function column(name, k) {
    const size = values.length / columns.length, all = values.subarray(k * size, (k + 1) * size);
    let low = Infinity, high = -Infinity;
    for (const value of all) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) [low, high] = [0, 0]; // all are missing
    if (low === high) [low, high] = [low - 1, high + 1];
    return { name, all, low, high };
  }

  function sounding() {
    let low = columns.length, high = 0;
    values.forEach((on, at) => {
      if (!on) return;
      const key = Math.floor(at / steps);
      [low, high] = [Math.min(low, key), Math.max(high, key)];
    });
    return low > high ? { low: 0, high: columns.length - 1 } : { low, high };
  }

  function layout() {
    fit = Math.max(0.02, (panel.clientWidth - NAME - EDGE) / length);
    if (zoom < fit) zoom = fit;
    const free = panel.clientHeight - AXIS;
    const count = rolls ? keys.high - keys.low + 1 : rows.length;
    const most = rolls ? 22 : MOST_HIGH, least = rolls ? KEY : LEAST;
    height = Math.max(least, Math.min(most, Math.floor(free / count)));
    const wide = zoom > fit * 1.001 ? `${NAME + length * zoom + EDGE}px` : "100%";
    space.style.width = wide;
    space.style.height = `${Math.max(count * height + AXIS, panel.clientHeight)}px`;
  }

  const xOf = (step) => NAME + step * zoom - panel.scrollLeft;
  const total = () => (rolls ? keys.high - keys.low + 1 : rows.length) * height;

  function inSight() {
    const first = Math.max(0, Math.floor(panel.scrollLeft / zoom) - 1);
    return [first, Math.min(length - 1, Math.ceil((panel.scrollLeft + panel.clientWidth - NAME) / zoom))];
  }

  function drawBase(paint, feature) {
    layout();
    const width = panel.clientWidth, ctx = context(base, width, panel.clientHeight);
    ctx.save();
    ctx.translate(0, -panel.scrollTop);
    drawBands(ctx, paint);
    if (feature?.yes) drawMarks(ctx, feature);
    if (rolls) drawNotes(ctx);
    else rows.forEach((row, k) => drawLine(ctx, row, k * height));
    ctx.fillStyle = theme.panel;
    ctx.fillRect(0, 0, NAME, Math.max(total(), panel.clientHeight + panel.scrollTop));
    drawNames(ctx);
    ctx.restore();
    drawAxis(ctx);
  }

  function drawBands(ctx, paint) {
    const { css } = maps[paint.scale.map];
    const [first, last] = inSight();
    const bottom = total();
    if (zoom >= 1) {
      for (let step = first; step <= Math.min(last, steps - 1); step++) {
        if (!isKnown(paint, step)) continue;
        ctx.fillStyle = css[paint.levels[step]];
        const x = Math.round(xOf(step));
        ctx.fillRect(x, 0, Math.round(xOf(step + 1)) - x, bottom);
      }
    } else {
      for (let x = NAME; x < panel.clientWidth; x++) { // several steps in a pixel: their mean
        const from = Math.floor((x - NAME + panel.scrollLeft) / zoom);
        const to = Math.min(steps, Math.max(from + 1, Math.floor((x + 1 - NAME + panel.scrollLeft) / zoom)));
        let sum = 0, known = 0;
        for (let step = from; step < to; step++) if (isKnown(paint, step)) [sum, known] = [sum + paint.levels[step], known + 1];
        if (!known) continue;
        ctx.fillStyle = css[Math.round(sum / known)];
        ctx.fillRect(x, 0, 1, bottom);
      }
    }
    ctx.fillStyle = theme.panel;
    if (!rolls) for (let k = 0; k < rows.length; k++) ctx.fillRect(NAME, (k + 1) * height - BETWEEN, panel.clientWidth, BETWEEN);
  }

  // Where a yes or no that units follow is yes.
  function drawMarks(ctx, feature) {
    ctx.fillStyle = theme.mark;
    const y = total() - (rolls ? 0 : BETWEEN) + 1;
    for (let step = 0; step < steps; step++) {
      if (feature.values[step]) ctx.fillRect(xOf(step), y, Math.max(zoom, 1), 3);
    }
  }

  const yOf = (row, top, value) =>
    top + 4 + (height - BETWEEN - 8) * (1 - (value - row.low) / (row.high - row.low));
  const middle = (step) => xOf(step) + zoom / 2;

  function drawLine(ctx, row, top) {
    const [first, last] = inSight();
    const until = Math.min(last, steps - 1);
    ctx.save();
    ctx.beginPath();
    ctx.rect(NAME, top, panel.clientWidth, height - BETWEEN);
    ctx.clip();
    stroke(ctx, pathOf(row, top, first, until, zoom), theme.ink, []);
    if (length > steps) stroke(ctx, pathOf(row, top, steps - 1, length - 1, zoom), theme.muted, []);
    ctx.restore();
  }

  // A line over a halo, so that it is seen on every colour.
  function stroke(ctx, path, colour, dash) {
    const width = dash.length ? 2.75 : 1.75;
    ctx.lineJoin = "round";
    ctx.setLineDash([]);
    ctx.strokeStyle = theme.panel;
    ctx.lineWidth = width + 2.75;
    ctx.stroke(path);
    ctx.setLineDash(dash);
    ctx.strokeStyle = colour;
    ctx.lineWidth = width;
    ctx.stroke(path);
    ctx.setLineDash([]);
  }

  function pathOf(row, top, first, last) {
    const path = new Path2D();
    const stride = zoom < 0.5 ? Math.ceil(0.5 / zoom) : 1;
    let broken = true;
    for (let step = first; step <= last; step += stride) {
      let low = Infinity, high = -Infinity; // of the steps that share a place
      for (let k = step; k < Math.min(step + stride, last + 1); k++) {
        if (row.all[k] < low) low = row.all[k];
        if (row.all[k] > high) high = row.all[k];
      }
      if (low > high) { broken = true; continue; }
      const x = middle(step);
      if (broken) path.moveTo(x, yOf(row, top, high));
      path.lineTo(x, yOf(row, top, high) + (stride === 1 && broken ? 0.01 : 0));
      if (low < high) path.lineTo(x, yOf(row, top, low));
      if (broken && stride === 1 && !(step + 1 <= last && !Number.isNaN(row.all[step + 1]))) {
        path.moveTo(x - 1.5, yOf(row, top, high)); // a point alone
        path.lineTo(x + 1.5, yOf(row, top, high));
      }
      broken = false;
    }
    return path;
  }

  function drawNotes(ctx) {
    const [first, last] = inSight();
    for (let key = keys.low; key <= keys.high; key++) {
      const y = (keys.high - key) * height;
      for (let step = first; step <= Math.min(last, steps - 1); step++) {
        if (!values[key * steps + step]) continue;
        ctx.fillStyle = theme.panel;
        ctx.fillRect(xOf(step), y, zoom, height);
        ctx.fillStyle = theme.ink;
        ctx.fillRect(xOf(step) + (zoom > 3 ? 1 : 0), y + 1, Math.max(zoom - (zoom > 3 ? 2 : 0), 1), height - 2);
      }
    }
  }

  function drawNames(ctx) {
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    const family = getComputedStyle(document.body).fontFamily;
    if (rolls) {
      ctx.font = `${Math.min(11, height + 2)}px ${family}`;
      ctx.fillStyle = theme.muted;
      for (let key = keys.low; key <= keys.high; key++) {
        if (height < 11 && !columns[key].startsWith("C") && key !== keys.low) continue;
        if (height < 11 && columns[key].includes("#")) continue;
        ctx.fillText(columns[key], NAME - 8, (keys.high - key) * height + height / 2);
      }
      return;
    }
    rows.forEach((row, k) => {
      const top = k * height, bottom = top + height - BETWEEN;
      ctx.font = `600 12px ${family}`;
      ctx.fillStyle = theme.ink;
      ctx.fillText(shortened(ctx, row.name, NAME - 14), NAME - 8, (top + bottom) / 2);
      if (height < 44) return;
      ctx.font = `10.5px ${family}`;
      ctx.fillStyle = theme.muted;
      ctx.fillText(plain(row.high), NAME - 8, top + 8);
      ctx.fillText(plain(row.low), NAME - 8, bottom - 7);
    });
  }

  function shortened(ctx, text, width) {
    if (ctx.measureText(text).width <= width) return text;
    let shown = Array.from(text);
    while (shown.length && ctx.measureText(`${shown.join("")}…`).width > width) shown.pop();
    return `${shown.join("")}…`;
  }

  function drawAxis(ctx) {
    const y = Math.min(panel.clientHeight - AXIS, total() - panel.scrollTop);
    ctx.fillStyle = theme.panel;
    ctx.fillRect(0, y, panel.clientWidth, AXIS);
    ctx.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    ctx.fillStyle = theme.muted;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    const [first, last] = inSight();
    for (const step of ticks(first + 1, last + 1, Math.max(2, panel.clientWidth / 90))) {
      const x = middle(step - 1);
      if (step >= 1 && x >= NAME && x < panel.clientWidth - 12) ctx.fillText(count(step), x, y + 12);
    }
    ctx.textAlign = "right";
    ctx.fillText("step", NAME - 8, y + 12);
  }

  function drawOver(step, hovered, span) {
    layout();
    const ctx = context(over, panel.clientWidth, panel.clientHeight);
    ctx.beginPath();
    ctx.rect(NAME - 2, 0, panel.clientWidth, panel.clientHeight);
    ctx.clip();
    const bottom = Math.min(panel.clientHeight - AXIS, total() - panel.scrollTop) - (rolls ? 0 : BETWEEN);
    if (span) {
      ctx.strokeStyle = theme.mark;
      ctx.lineWidth = 2;
      ctx.strokeRect(xOf(span[0]), 1, (span[1] - span[0] + 1) * zoom, bottom - 1);
    }
    drawForecast(ctx, hovered ?? step);
    for (const [at, width] of [[hovered, 1.5], [step, 2.5]]) {
      if (at === null) continue;
      const box = [xOf(at) - 0.5, 1, Math.max(zoom, 2) + 1, bottom - 2];
      ctx.strokeStyle = theme.panel;
      ctx.lineWidth = width + 2;
      ctx.strokeRect(...box);
      ctx.strokeStyle = theme.ink;
      ctx.lineWidth = width;
      ctx.strokeRect(...box);
    }
  }

  // What is forecast from this step on.
  function drawForecast(ctx, step) {
    if (!wanted || step < wanted.first) return;
    const horizon = length - steps, width = rows.length;
    const start = (step - wanted.first) * horizon * width;
    rows.forEach((row, k) => {
      const path = new Path2D();
      const top = k * height - panel.scrollTop;
      let last = step; // a forecast begins at the last known value
      while (last > 0 && Number.isNaN(row.all[last])) last--;
      if (!Number.isNaN(row.all[last])) path.moveTo(middle(last), yOf(row, top, row.all[last]));
      for (let ahead = 0; ahead < horizon; ahead++) {
        path.lineTo(middle(step + 1 + ahead), yOf(row, top, wanted.values[start + ahead * width + k]));
      }
      ctx.save();
      ctx.beginPath();
      ctx.rect(NAME, top, panel.clientWidth, height - BETWEEN);
      ctx.clip();
      stroke(ctx, path, theme.forecast, [8, 4]);
      ctx.restore();
    });
  }

  function stepAt(clientX, clientY) {
    const box = panel.getBoundingClientRect();
    const x = clientX - box.left - NAME, y = clientY - box.top;
    if (x < 0 || y > Math.min(panel.clientHeight - AXIS, total() - panel.scrollTop)) return null;
    const step = Math.floor((x + panel.scrollLeft) / zoom);
    return step < steps ? step : null;
  }

  function reveal(step) {
    layout();
    const x = step * zoom, seen = panel.clientWidth - NAME;
    if (x < panel.scrollLeft || x + zoom > panel.scrollLeft + seen) panel.scrollLeft = x - seen / 3;
  }

  function magnify(factor, at) {
    layout();
    const place = xOf(at);
    zoom = Math.max(fit, Math.min(80, zoom * factor));
    layout();
    panel.scrollLeft = NAME + at * zoom - place;
  }

  const vertical = (step, way) => Math.max(0, Math.min(steps - 1, step + way * Math.max(1, Math.round(40 / zoom))));
  const resized = () => (zoom = zoom <= fit * 1.001 ? 0 : zoom);
  return { drawBase, drawOver, stepAt, reveal, vertical, resized, magnify };
}

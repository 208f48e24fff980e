// Columns of numbers as lines, one below another, with the forecast from a step.

function lineRows(place) {
  const { columns, values, forecasts } = content;
  const length = values.length / columns.length; // with the steps after the sequence, if known
  const gap = 6;
  const rows = columns.map((name, k) => {
    const all = values.subarray(k * length, (k + 1) * length);
    return { name, all, ...rangeOf(all) };
  });

  function rangeOf(all) {
    let low = Infinity, high = -Infinity;
    for (const value of all) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) [low, high] = [0, 0]; // all are missing
    return low === high ? { low: low - 1, high: high + 1 } : { low, high };
  }

  const yOf = (row, top, value) =>
    top + 4 + (place.height - gap - 8) * (1 - (value - row.low) / (row.high - row.low));

  function within(ctx, top, drawing) {
    ctx.save();
    ctx.beginPath();
    ctx.rect(NAME, top, place.panel.clientWidth, place.height - gap);
    ctx.clip();
    drawing();
    ctx.restore();
  }

  function draw(ctx) {
    const [first, last] = place.inSight();
    rows.forEach((row, k) => {
      const top = k * place.height;
      within(ctx, top, () => {
        stroke(ctx, pathOf(row, top, first, Math.min(last, steps - 1)), theme.ink);
        if (length > steps) stroke(ctx, pathOf(row, top, steps - 1, length - 1), theme.muted);
      });
    });
  }

  // A line with a halo, visible on every colour.
  function stroke(ctx, path, colour, dash = []) {
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

  // Steps that share a pixel are drawn from minimum to maximum; a missing value breaks the line.
  function pathOf(row, top, first, last) {
    const path = new Path2D();
    const stride = Math.max(1, Math.ceil(0.5 / place.zoom));
    let broken = true;
    for (let step = first; step <= last; step += stride) {
      let low = Infinity, high = -Infinity;
      for (let k = step; k < Math.min(step + stride, last + 1); k++) {
        if (row.all[k] < low) low = row.all[k];
        if (row.all[k] > high) high = row.all[k];
      }
      if (low > high) {
        broken = true;
        continue;
      }
      const x = place.middle(step), y = yOf(row, top, high);
      if (broken) path.moveTo(x - 0.75, y); // so that an isolated value is visible
      path.lineTo(x + (broken ? 0.75 : 0), y);
      if (low < high) path.lineTo(x, yOf(row, top, low));
      broken = false;
    }
    return path;
  }

  function drawNames(ctx) {
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    rows.forEach((row, k) => {
      const top = k * place.height, bottom = top + place.height - gap;
      ctx.font = fontOf(12, 600);
      ctx.fillStyle = theme.ink;
      ctx.fillText(shortened(ctx, row.name, NAME - 14), NAME - 8, (top + bottom) / 2);
      if (place.height < 44) return;
      ctx.font = fontOf(10.5);
      ctx.fillStyle = theme.muted;
      ctx.fillText(plain(row.high), NAME - 8, top + 8);
      ctx.fillText(plain(row.low), NAME - 8, bottom - 7);
    });
  }

  function shortened(ctx, text, width) {
    if (ctx.measureText(text).width <= width) return text;
    const shown = Array.from(text);
    while (shown.length && ctx.measureText(`${shown.join("")}…`).width > width) shown.pop();
    return `${shown.join("")}…`;
  }

  // The forecast from this step; it starts at the last known value.
  function drawOver(ctx, step) {
    if (!forecasts || step < forecasts.first) return;
    const horizon = length - steps;
    const start = (step - forecasts.first) * horizon * rows.length;
    rows.forEach((row, k) => {
      const path = new Path2D(), top = k * place.height - place.panel.scrollTop;
      let last = step;
      while (last > 0 && Number.isNaN(row.all[last])) last--;
      const value = row.all[last];
      if (!Number.isNaN(value)) path.moveTo(place.middle(last), yOf(row, top, value));
      for (let ahead = 0; ahead < horizon; ahead++) {
        const value = forecasts.values[start + ahead * rows.length + k];
        path.lineTo(place.middle(step + 1 + ahead), yOf(row, top, value));
      }
      within(ctx, top, () => stroke(ctx, path, theme.forecast, [8, 4]));
    });
  }

  return { count: rows.length, length, gap, least: 34, most: 460, draw, drawNames, drawOver };
}

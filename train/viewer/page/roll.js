// A piano roll: one row per key, from the highest that sounds to the lowest.

function rollRows(place) {
  const { columns, values } = content;
  const rowOfKey = (key) => values.subarray(key * steps, (key + 1) * steps);
  const sounds = columns.map((_, key) => rowOfKey(key).some(Boolean));
  const low = Math.max(0, sounds.indexOf(true)), high = Math.max(low, sounds.lastIndexOf(true));

  function draw(ctx) {
    const [first, last] = place.inSight();
    const edge = place.zoom > 3 ? 1 : 0;
    for (let key = low; key <= high; key++) {
      const y = (high - key) * place.height;
      for (let step = first; step <= Math.min(last, steps - 1); step++) {
        if (!values[key * steps + step]) continue;
        const x = place.xOf(step);
        ctx.fillStyle = theme.panel;
        ctx.fillRect(x, y, place.zoom, place.height);
        ctx.fillStyle = theme.ink;
        ctx.fillRect(x + edge, y + 1, Math.max(place.zoom - 2 * edge, 1), place.height - 2);
      }
    }
  }

  // In low rows, only every C is labelled.
  function drawNames(ctx) {
    ctx.textAlign = "right";
    ctx.textBaseline = "middle";
    ctx.font = fontOf(Math.min(11, place.height + 2));
    ctx.fillStyle = theme.muted;
    for (let key = low; key <= high; key++) {
      if (place.height < 12 && !/^C\d/.test(columns[key])) continue;
      ctx.fillText(columns[key], NAME - 8, (high - key + 0.5) * place.height);
    }
  }

  return { count: high - low + 1, length: steps, gap: 0, least: 9, most: 22, draw, drawNames };
}

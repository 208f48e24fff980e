// A text on a canvas: a coloured cell per character, in the order of the model's input.
// Only visible rows are drawn. Long lines are broken between words if possible.

const ROW = 26, GAP = 5, GUTTER = 46, EDGE = 8;
const MONO = getComputedStyle(document.documentElement).getPropertyValue("--mono");

function textView(panel, base, over, space) {
  const characters = Array.from(content.text);
  const font = `15px ${MONO}`;
  const rowOfStep = new Int32Array(steps), column = new Int32Array(steps);
  const cells = new Uint8Array(steps);
  let starts = [0], cell = 9, laidOut = 0;
  const widths = new Map();

  function measure(ctx) {
    ctx.font = font;
    cell = Math.ceil(ctx.measureText("M").width);
    characters.forEach((character, step) => {
      if (!widths.has(character)) {
        widths.set(character, ctx.measureText(inText(character)).width > 1.25 * cell ? 2 : 1);
      }
      cells[step] = widths.get(character);
    });
  }

  function layout() {
    if (!widths.size) measure(base.getContext("2d"));
    const width = panel.clientWidth;
    if (width === laidOut) return;
    laidOut = width;
    const columns = Math.max(8, Math.floor((width - GUTTER - EDGE) / cell));
    starts = [0];
    let at = 0, gap = -1; // the last step of this row after which it can be broken
    for (let step = 0; step < steps; step++) {
      if (at + cells[step] > columns) {
        const first = gap > starts.at(-1) + columns / 3 ? gap + 1 : step;
        at = 0;
        starts.push(first);
        for (let k = first; k < step; k++) [column[k], at] = [at, at + cells[k]];
        gap = -1;
      }
      column[step] = at;
      at += cells[step];
      if (characters[step] === " ") gap = step;
      if (characters[step] === "\n" && step + 1 < steps) {
        starts.push(step + 1);
        at = 0;
        gap = -1;
      }
    }
    starts.push(steps);
    for (let row = 0; row + 1 < starts.length; row++) {
      rowOfStep.fill(row, starts[row], starts[row + 1]);
    }
    space.style.height = `${(starts.length - 1) * ROW + 2 * EDGE}px`;
  }


  const xOf = (step) => GUTTER + column[step] * cell;
  const yOf = (row) => EDGE + row * ROW - panel.scrollTop;

  function inSight() {
    const first = Math.max(0, Math.floor((panel.scrollTop - EDGE) / ROW));
    const last = Math.floor((panel.scrollTop + panel.clientHeight - EDGE) / ROW);
    return [first, Math.min(starts.length - 2, last)];
  }

  function drawBase(paint, feature) {
    layout();
    const ctx = context(base, panel.clientWidth, panel.clientHeight);
    const { css, ink } = maps[paint.scale.map];
    const [first, last] = inSight();
    ctx.textBaseline = "middle";
    for (let row = first; row <= last; row++) {
      const y = yOf(row);
      ctx.font = `11px ${MONO}`;
      ctx.textAlign = "right";
      ctx.fillStyle = theme.muted;
      ctx.fillText(count(starts[row] + 1), GUTTER - 8, y + (ROW - GAP) / 2);
      ctx.font = font;
      ctx.textAlign = "center";
      for (let step = starts[row]; step < starts[row + 1]; step++) {
        const x = xOf(step), wide = cells[step] * cell, known = isKnown(paint, step);
        if (known) {
          ctx.fillStyle = css[paint.levels[step]];
          ctx.fillRect(x, y, wide, ROW - GAP);
        }
        ctx.fillStyle = known ? ink[paint.levels[step]] : theme.ink;
        const glyph = inText(characters[step]);
        if (glyph) ctx.fillText(glyph, x + wide / 2, y + (ROW - GAP) / 2 + 1);
        if (feature?.boolean && feature.values[step]) {
          ctx.fillStyle = theme.mark;
          ctx.fillRect(x, y + ROW - GAP + 1, wide, 2);
        }
      }
    }
  }

  // The chosen step, the one under the pointer, and the span.
  function drawOver(step, hovered, span) {
    layout();
    const ctx = context(over, panel.clientWidth, panel.clientHeight);
    const [first, last] = inSight();
    if (span) {
      const [upper, lower] = [rowOfStep[span[0]], rowOfStep[span[1]]];
      ctx.strokeStyle = theme.mark;
      ctx.lineWidth = 2;
      for (let row = Math.max(first, upper); row <= Math.min(last, lower); row++) {
        const from = Math.max(span[0], starts[row]), to = Math.min(span[1], starts[row + 1] - 1);
        const width = xOf(to) + cells[to] * cell - xOf(from);
        ctx.strokeRect(xOf(from) - 1, yOf(row) - 2, width + 2, ROW - GAP + 4);
      }
    }
    for (const [at, width] of [[hovered, 1.5], [step, 3]]) {
      if (at === null || rowOfStep[at] < first || rowOfStep[at] > last) continue;
      const box = [xOf(at) - 1, yOf(rowOfStep[at]) - 1, cells[at] * cell + 2, ROW - GAP + 2];
      outline(ctx, box, width);
    }
  }

  function stepAt(clientX, clientY) {
    const box = panel.getBoundingClientRect();
    const row = Math.floor((clientY - box.top + panel.scrollTop - EDGE) / ROW);
    if (row < 0 || row >= starts.length - 1) return null;
    const x = clientX - box.left;
    if (x < GUTTER) return null;
    for (let step = starts[row + 1] - 1; step >= starts[row]; step--) {
      if (x >= xOf(step)) return x < xOf(step) + cells[step] * cell ? step : null;
    }
    return null;
  }

  function reveal(step) {
    layout();
    const y = EDGE + rowOfStep[step] * ROW;
    if (y < panel.scrollTop + ROW || y > panel.scrollTop + panel.clientHeight - 2 * ROW) {
      panel.scrollTop = y - panel.clientHeight / 3;
    }
  }

  // The step above or below, as a cursor moves.
  function vertical(step, rows) {
    const row = Math.max(0, Math.min(starts.length - 2, rowOfStep[step] + rows));
    let to = starts[row];
    while (to + 1 < starts[row + 1] && column[to + 1] <= column[step]) to++;
    return row === rowOfStep[step] ? step : to;
  }

  const resized = () => (laidOut = 0);
  return { drawBase, drawOver, stepAt, reveal, vertical, resized, characters };
}

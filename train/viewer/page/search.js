// Units that react to a span: how often a value inside is above one outside.

const FOUND = 16;

// The histogram of each unit's bytes, counted once.
function countsOf(quantity) {
  if (quantity.counts) return quantity.counts;
  const units = quantity.low.length, counts = new Uint32Array(units * 256);
  for (let unit = 0, at = 0; unit < units; unit++) {
    for (let step = 0; step < steps; step++) counts[unit * 256 + quantity.bytes[at++]]++;
  }
  return (quantity.counts = counts);
}

// Ranks all units. With `near`, compares with as many steps on each side instead of all.
function search(some, [first, last], near) {
  const size = last - first + 1;
  const [from, to] = near
    ? [Math.max(0, first - size), Math.min(steps - 1, last + size)]
    : [0, steps - 1];
  if (to - from + 1 <= size) return [];
  const found = [];
  for (const block of some) {
    for (const [quantity, one] of Object.entries(block.quantities)) {
      const whole = near ? null : countsOf(one);
      for (let unit = 0; unit < one.low.length; unit++) {
        const counts = whole?.subarray(unit * 256, unit * 256 + 256);
        const { area, gap } = separation(rowOf(one, unit), counts, first, last, from, to);
        const rises = area >= 0.5, score = rises ? area : 1 - area;
        found.push({ block: blocks.indexOf(block), quantity, unit, rises, score, gap });
      }
    }
  }
  found.sort((a, b) => b.score - a.score || b.gap - a.gap);
  return onceAUnit(found);
}

const inside = new Uint32Array(256), outside = new Uint32Array(256);

// The area under the ROC curve, and the distance of the means as a share of the unit's range.
function separation(row, whole, first, last, from, to) {
  inside.fill(0);
  for (let step = first; step <= last; step++) inside[row[step]]++;
  if (whole) for (let byte = 0; byte < 256; byte++) outside[byte] = whole[byte] - inside[byte];
  else {
    outside.fill(0);
    for (let step = from; step <= to; step++) if (step < first || step > last) outside[row[step]]++;
  }
  let below = 0, pairs = 0, sum = 0, others = 0;
  for (let byte = 0; byte < 256; byte++) {
    pairs += inside[byte] * (below + outside[byte] / 2);
    below += outside[byte];
    sum += inside[byte] * byte;
    others += outside[byte] * byte;
  }
  const size = last - first + 1;
  return { area: pairs / (size * below), gap: Math.abs(sum / size - others / below) / 255 };
}

// Each unit once, with its best quantity.
function onceAUnit(found) {
  const seen = new Set(), best = [];
  for (const one of found) {
    const key = one.block * 1e6 + one.unit;
    if (seen.has(key)) continue;
    seen.add(key);
    best.push(one);
    if (best.length === FOUND) break;
  }
  return best;
}

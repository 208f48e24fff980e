// Two colour-blind-safe maps: light to dark blue for gates, blue to orange around 0.

const STOPS = {
  light: {
    gate: ["#f3f5f7", "#cfe0f0", "#93bfe3", "#4a90cb", "#1c62a6", "#0a3a70"],
    around: ["#0b4a8f", "#4a90cb", "#a9cdea", "#f5f4f1", "#f6cb95", "#df8a30", "#964a00"],
  },
  dark: {
    gate: ["#20262e", "#1f3d5b", "#235a8a", "#3a86c4", "#7dbbef", "#d5ebff"],
    around: ["#9ad0ff", "#3f8bd0", "#204d7c", "#22272e", "#704616", "#cb7d22", "#ffc477"],
  },
};
const LEVELS = 256;
const scheme = matchMedia("(prefers-color-scheme: dark)");
const maps = {};
const theme = {};
readTheme();

// The colours of the page, for canvases.
function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const names = ["ink", "muted", "line", "panel", "ground", "mark", "forecast"];
  for (const name of names) theme[name] = style.getPropertyValue(`--${name}`).trim();
  const stops = STOPS[scheme.matches ? "dark" : "light"];
  for (const [name, colours] of Object.entries(stops)) maps[name] = colourMap(colours);
}

function colourMap(stops) {
  const points = stops.map((stop) => [1, 3, 5].map((k) => parseInt(stop.slice(k, k + 2), 16)));
  const css = [], ink = [];
  for (let level = 0; level < LEVELS; level++) {
    const at = (level / (LEVELS - 1)) * (points.length - 1);
    const k = Math.min(Math.floor(at), points.length - 2);
    const rgb = points[k].map((a, n) => Math.round(a + (at - k) * (points[k + 1][n] - a)));
    css.push(`rgb(${rgb})`);
    // Black or white has a contrast above 4.5 to any colour.
    ink.push(luminance(rgb) > 0.179 ? "#000" : "#fff");
  }
  return { css, ink };
}

// Relative luminance, by WCAG 2.
function luminance(rgb) {
  const linear = (a) => (a <= 0.04045 ? a / 12.92 : ((a + 0.055) / 1.055) ** 2.4);
  const [r, g, b] = rgb.map((value) => linear(value / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

const isGate = (name) => name === "f" || name === "i" || name === "o";

// The map and the range of values of a unit; `full` is the same range for all units.
function scaleOf(quantity, unit, full) {
  const name = quantity.name;
  if (isGate(name)) {
    const fits = !full && quantity.high[unit] > quantity.low[unit];
    const [low, high] = fits ? [quantity.low[unit], quantity.high[unit]] : [0, 1];
    return { map: "gate", low, high };
  }
  const own = Math.max(Math.abs(quantity.low[unit]), Math.abs(quantity.high[unit]));
  const whole = name === "g" || (name === "h" && largest(quantity) <= 1) ? 1 : largest(quantity);
  const size = (full ? whole : own) || 1;
  return { map: "around", low: -size, high: size };
}

function largest(quantity) {
  quantity.largest ??= Math.max(...quantity.low.map(Math.abs), ...quantity.high.map(Math.abs));
  return quantity.largest;
}

function levelOf(value, { low, high }) {
  const level = Math.round(((value - low) / (high - low)) * (LEVELS - 1));
  return Math.max(0, Math.min(LEVELS - 1, level));
}

// The colour level of each step; unknown steps have none.
function paintOf(quantity, unit, full) {
  const scale = scaleOf(quantity, unit, full);
  const levelOfByte = (_, byte) => levelOf(valueOf(quantity, unit, byte), scale);
  const levels = Uint8Array.from({ length: 256 }, levelOfByte);
  return { scale, levels: rowOf(quantity, unit).map((byte) => levels[byte]), known: null };
}

function paintOutcome(outcome, full) {
  const values = outcome.values;
  let high = outcome.unit === "" ? 1 : 0;
  if (!high) for (const value of values) if (value > high) high = value;
  if (outcome.unit === "bits" && (full || high > 8)) high = 8; // one more character of 256
  const scale = { map: "gate", low: 0, high: high || 1 };
  const levels = Uint8Array.from(values, (value) => levelOf(value || 0, scale));
  return { scale, levels, known: values };
}

const isKnown = (paint, step) => !paint.known || !Number.isNaN(paint.known[step]);

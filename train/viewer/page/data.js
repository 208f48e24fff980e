// The numbers of the page: JSON with small arrays, and one compressed array per quantity.

const TYPES = { u1: Uint8Array, u2: Uint16Array, i4: Int32Array, f4: Float32Array };
const NAMES = {
  f: "forget gate", i: "input gate", g: "candidate", o: "output gate", c: "cell", h: "hidden",
};
const SHORT = { f: "forget", i: "input", g: "candidate", o: "output", c: "cell", h: "hidden" };
const ORDER = ["f", "i", "g", "o", "c", "h"];

const DIGITS = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });

const content = JSON.parse(document.getElementById("content").textContent, revive);
const steps = content.steps;
const blocks = content.blocks.map((block) => ({
  ...block,
  name: blockName(block),
  quantities: Object.fromEntries(
    block.quantities.map((one) => [one.name, { ...one, bytes: null }]),
  ),
}));

function revive(_, value) {
  const packed = value && typeof value === "object" && "array" in value && "data" in value;
  if (!packed) return value;
  return new TYPES[value.array](fromBase64(value.data).buffer);
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text);
  return Uint8Array.from({ length: raw.length }, (_, k) => raw.charCodeAt(k));
}

// Decompresses a quantity, (units, time) bytes, once.
function load(quantity) {
  quantity.loading ??= (async () => {
    const element = document.getElementById(`array-${quantity.array}`);
    const stream = new Blob([fromBase64(element.textContent)]).stream();
    const plain = stream.pipeThrough(new DecompressionStream("deflate-raw"));
    quantity.bytes = new Uint8Array(await new Response(plain).arrayBuffer());
    element.remove(); // free its text
  })();
  return quantity.loading;
}

async function loadBlock(block) {
  for (const name of ORDER) if (name in block.quantities) await load(block.quantities[name]);
}

function rowOf(quantity, unit) {
  return quantity.bytes.subarray(unit * steps, (unit + 1) * steps);
}

function valueOf(quantity, unit, byte) {
  return quantity.low[unit] + (byte / 255) * (quantity.high[unit] - quantity.low[unit]);
}

// The value at a step, or null before the first step or before decompression.
function valueAt(quantity, unit, step) {
  if (!quantity?.bytes || step < 0 || step >= steps || unit >= quantity.low.length) return null;
  return valueOf(quantity, unit, quantity.bytes[unit * steps + step]);
}

function blockName(block) {
  return `layer ${block.layer + 1}${block.direction ? `, ${block.direction}` : ""}`;
}

// The significant digits of a quantised value.
function number(value) {
  if (value === null || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  const text = size >= 1000 ? value.toPrecision(4) : value.toFixed(size >= 100 ? 1 : 2);
  return text.replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
}

// A number of the data, with four significant digits.
function plain(value) {
  if (Number.isNaN(value)) return "missing";
  const text = DIGITS.format(Number(value.toPrecision(4)));
  return text === "-0" ? "0" : text.replace("-", "−");
}

const count = (value) => DIGITS.format(value);
const percent = (part) => `${(100 * part).toFixed(part < 0.0095 ? 1 : 0)}%`;

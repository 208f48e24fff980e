// A unit of a layer as a diagram: coloured gates, and the numbers on the wires.

const SVG = "http://www.w3.org/2000/svg";
const WIRES = { // of the LSTM, by the value that flows through them
  c0: "M10 46H86", fc: "M110 46H206", c1: "M230 46H424", f: "M98 150V58", i: "M178 150V102H206",
  g: "M250 150V102H230", ig: "M218 90V58", tc: "M366 46V62M366 84V110", o: "M320 150V122H354",
  h1: "M366 134V224H424", x: "M10 226H320M98 226V198M178 226V198M250 226V198M320 226V198",
};
const NODES = [["×", 98, 46], ["+", 218, 46], ["×", 218, 102], ["×", 366, 122]];
const BOXES = [["f", 98, 58], ["i", 178, 58], ["g", 250, 74], ["o", 320, 54]];
const NUMBERS = { // place, alignment
  c0: [12, 34, "start"], fc: [158, 34, "middle"], c1: [300, 34, "middle"], ig: [226, 80, "start"],
  tc: [374, 104, "start"], h1: [376, 214, "start"], x: [12, 247, "start"], m: [428, 247, "end"],
};

function svgPart(name, attributes, parent, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

function arrow(y, svg) {
  svgPart("path", { d: `M420 ${y - 5}l7 5l-7 5`, class: "arrow" }, svg);
}

function cellOf(parent) {
  let drawn = null, parts = {};

  function build(kind) {
    parent.replaceChildren();
    drawn = kind;
    parts = {};
    const viewBox = kind === "gates" ? "0 0 436 254" : "0 0 436 110";
    const svg = svgPart("svg", { viewBox, role: "img" }, parent);
    parts.svg = svg;
    if (kind === "gates") buildGates(svg);
    else buildPlain(svg, kind);
  }

  function buildGates(svg) {
    for (const [name, d] of Object.entries(WIRES)) {
      parts[`w-${name}`] = svgPart("path", { d, class: "wire" }, svg);
    }
    for (const y of [46, 224]) arrow(y, svg);
    for (const [sign, x, y] of NODES) {
      svgPart("circle", { cx: x, cy: y, r: 12, class: "node" }, svg);
      svgPart("text", { x, y: y + 5, class: "sign" }, svg, sign);
    }
    svgPart("rect", { x: 342, y: 62, width: 48, height: 22, rx: 11, class: "node" }, svg);
    svgPart("text", { x: 366, y: 77, class: "small" }, svg, "tanh");
    for (const [name, x, width] of BOXES) {
      const box = { x: x - width / 2, y: 150, width, height: 48, rx: 7, class: "box" };
      parts[`b-${name}`] = svgPart("rect", box, svg);
      parts[`l-${name}`] = svgPart("text", { x, y: 167, class: "small" }, svg, SHORT[name]);
      parts[`n-${name}`] = svgPart("text", { x, y: 188, class: "value" }, svg);
    }
    for (const [name, [x, y, anchor]] of Object.entries(NUMBERS)) {
      parts[`t-${name}`] = svgPart("text", { x, y, class: "label", "text-anchor": anchor }, svg);
    }
  }

  // Layers without known gates: their state and output, before and after.
  function buildPlain(svg, kind) {
    [...kind].forEach((name, k) => {
      const y = kind.length > 1 ? 34 + 44 * k : 56;
      parts[`w-${name}0`] = svgPart("path", { d: `M10 ${y}H150`, class: "wire" }, svg);
      parts[`w-${name}1`] = svgPart("path", { d: `M270 ${y}H424`, class: "wire" }, svg);
      arrow(y, svg);
      parts[`t-${name}0`] = svgPart("text", { x: 14, y: y - 9, class: "label" }, svg);
      parts[`t-${name}1`] = svgPart("text", { x: 280, y: y - 9, class: "label" }, svg);
    });
    svgPart("rect", { x: 150, y: 8, width: 120, height: 94, rx: 9, class: "node" }, svg);
    parts.kind = svgPart("text", { x: 210, y: 60, class: "small" }, svg);
  }

  function update(block, unit, step) {
    const has = (name) => name in block.quantities && unit < block.quantities[name].low.length;
    const kind = has("f") ? "gates" : ["c", "h"].filter(has).join("");
    if (kind !== drawn) build(kind);
    const back = block.direction === "backward";
    const at = (name, when) => (has(name) ? valueAt(block.quantities[name], unit, when) : null);
    const before = back ? step + 1 : step - 1;
    const begins = before < 0 || before >= steps; // the initial state is 0
    const old = (name) => (begins && has(name) ? 0 : at(name, before));
    if (kind === "gates") updateGates(block, unit, step, at, old);
    else updatePlain(block, kind, unit, step, at, old);
  }

  function updateGates(block, unit, step, at, old) {
    const [f, i, g, o, c1] = ["f", "i", "g", "o", "c"].map((name) => at(name, step));
    if (c1 === null) return;
    const projected = block.type === "ProjectedParams";
    const c0 = old("c"), h0 = projected ? null : old("h");
    const h1 = projected ? o * Math.tanh(c1) : at("h", step);
    const flows = { c0, fc: f * c0, c1, f, i, g, ig: i * g, tc: Math.tanh(c1), o, h1 };
    for (const [name, value] of Object.entries(flows)) {
      flow(parts[`w-${name}`], value, isGate(name));
    }
    for (const [name, value] of Object.entries({ f, i, g, o })) {
      const map = maps[isGate(name) ? "gate" : "around"];
      const level = levelOf(value, isGate(name) ? { low: 0, high: 1 } : { low: -1, high: 1 });
      parts[`b-${name}`].style.fill = map.css[level];
      for (const part of [parts[`l-${name}`], parts[`n-${name}`]]) part.style.fill = map.ink[level];
      parts[`n-${name}`].textContent = number(value);
    }
    const shown = projected ? "o·tanh c" : "h";
    const labels = {
      c0: `c ${number(c0)}`, fc: `f·c ${number(flows.fc)}`, c1: `new c ${number(c1)}`,
      ig: `i·g ${number(flows.ig)}`, tc: number(flows.tc),
      h1: projected ? "" : `h ${number(h1)}`,
      m: projected ? `o·tanh c ${number(h1)}, before the projection` : "",
      x: `${readAt(step)}; h of all units${h0 === null ? "" : `, its own ${number(h0)}`}`,
    };
    for (const [name, text] of Object.entries(labels)) parts[`t-${name}`].textContent = text;
    parts.svg.setAttribute("aria-label",
      `Unit ${unit + 1} at step ${step + 1}: cell ${number(c0)} before; ` +
      `forget gate ${number(f)}, input gate ${number(i)}, candidate ${number(g)}; ` +
      `cell ${number(c1)} after; output gate ${number(o)}, ${shown} ${number(h1)}.`);
  }

  function updatePlain(block, kind, unit, step, at, old) {
    const texts = [];
    for (const name of kind) {
      const values = [old(name), at(name, step)];
      if (values[1] === null) return;
      values.forEach((value, k) => {
        flow(parts[`w-${name}${k}`], value, false);
        parts[`t-${name}${k}`].textContent = `${k ? "new " : ""}${name} ${number(value)}`;
      });
      texts.push(`${NAMES[name]} ${number(values[0])} before, ${number(values[1])} after`);
    }
    parts.kind.textContent = block.type.replace(/Params$/, "");
    const text = `Unit ${unit + 1} at step ${step + 1}: ${texts.join("; ")}.`;
    parts.svg.setAttribute("aria-label", text);
  }

  // The width of a wire is the size of its value; blue is negative, orange positive.
  function flow(wire, value, gate) {
    wire.style.strokeWidth = `${1.25 + 4.75 * Math.min(1, Math.abs(value))}`;
    wire.dataset.sign = gate ? "gate" : value < 0 ? "below" : "above";
  }

  return { update };
}

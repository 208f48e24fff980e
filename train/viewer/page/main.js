// The state of the page, and its reactions to pointer, keys and playback.

const $ = (id) => document.getElementById(id);
const state = {
  block: 0, quantity: "c", unit: 0, outcome: false, feature: null, full: false,
  step: 0, hovered: null, pointer: null, span: null,
};
const view = content.kind === "text"
  ? textView($("panel"), $("base"), $("over"), $("space"))
  : seriesView($("panel"), $("base"), $("over"), $("space"));
const characters = view.characters;
const overview = overviewOf($("overview"), (step) => goTo(step));
const cell = cellOf($("cell"));
const map = mapOf($("map"), (unit) => chooseUnit({ unit }));
const player = playerOf($("play"), $("speed"), { advance, changed: played });
let paint = null, waiting = new Set(), speaking = 0;

// Schedules parts to redraw, once per frame.
function redraw(...parts) {
  if (!waiting.size) requestAnimationFrame(render);
  parts.forEach((part) => waiting.add(part));
}

function render() {
  const parts = waiting;
  waiting = new Set();
  if (parts.has("paint")) paintAll();
  if (!paint) return;
  const shown = shownStep();
  if (parts.has("paint") || parts.has("base")) view.drawBase(paint, state.feature);
  if (parts.has("paint") || parts.has("size")) overview.drawStill(paint, state.feature);
  if (parts.has("paint") || parts.has("base") || parts.has("step")) {
    view.drawOver(state.step, player.playing ? null : state.hovered, state.span);
    overview.draw({ ...state, hovered: player.playing ? null : state.hovered });
    showMoment(shown);
  }
}

const shownStep = () => (player.playing ? state.step : state.hovered ?? state.step);
const block = () => blocks[state.block];
const quantity = () => block().quantities[state.quantity];

function paintAll() {
  if (state.outcome) paint = paintOutcome(content.outcome, state.full);
  else if (quantity().bytes) paint = paintOf(quantity(), state.unit, state.full);
  if (paint) showLegend();
}

function valueText(step) {
  if (state.outcome) {
    const { name, values, unit } = content.outcome;
    return `${name} ${number(values[step])} ${unit}`.trim();
  }
  return `${NAMES[state.quantity]} ${number(valueAt(quantity(), state.unit, step))}`;
}

function showMoment(step) {
  $("moment-title").textContent = `Step ${count(step + 1)} of ${count(steps)}`;
  showRead($("read"), step);
  showExpected($("expected"), step);
  cell.update(block(), state.unit, step);
  if (quantity().bytes) map.draw(quantity(), state.unit, step);
  const shown = state.step;
  $("step").value = shown + 1;
  $("step").setAttribute("aria-valuetext", `${shown + 1} of ${steps}`);
  $("place").textContent = `${count(shown + 1)} of ${count(steps)}`;
  $("panel").setAttribute("aria-valuenow", shown + 1);
  const read = characters ? `, ${spoken(characters[shown])}` : "";
  $("panel").setAttribute("aria-valuetext", `step ${shown + 1}${read}`);
  $("brief").textContent = briefly(step, valueText(step));
  const hovered = player.playing ? null : state.hovered;
  if (state.pointer) showTip($("tip"), hovered, state.pointer, valueText(step));
}

function showLegend() {
  const { low, high, map: name } = paint.scale;
  const canvas = $("legend").querySelector("canvas"), ctx = context(canvas, 120, 10);
  maps[name].css.forEach((colour, level) => {
    ctx.fillStyle = colour;
    ctx.fillRect((level / LEVELS) * 120, 0, 1, 10);
  });
  const texts = [low, (low + high) / 2, high].map(number);
  ["legend-low", "legend-middle", "legend-high"].forEach((id, k) => ($(id).textContent = texts[k]));
  $("legend").setAttribute("aria-label", `Colours from ${texts[0]} to ${texts[2]}`);
  const { feature } = state;
  $("following").hidden = !feature;
  if (!feature) return;
  const where = feature.boolean ? "underlined: " : "line below: ";
  $("following").replaceChildren(where, isolated(feature.name));
}

// Announces a text to screen readers when nothing has changed for a moment.
function say(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => ($("live").textContent = text), 350);
}

function goTo(step, { speak = true } = {}) {
  state.step = Math.max(0, Math.min(steps - 1, step));
  state.hovered = null;
  view.reveal(state.step);
  redraw("step");
  if (speak && !player.playing) say(spokenMoment(state.step, valueText(state.step)));
}

function advance(by) {
  if (state.step + by >= steps) {
    goTo(steps - 1);
    return false;
  }
  goTo(state.step + by);
  return true;
}

function played(playing) {
  if (playing && state.step === steps - 1) state.step = 0;
  $("tip").hidden = true;
  smoothen();
  say(playing ? "Playing" : `Paused. ${spokenMoment(state.step, valueText(state.step))}`);
  redraw("step");
}

// Wires are animated between steps at slow speeds.
function smoothen() {
  $("cell").classList.toggle("playing", player.playing && SPEEDS[$("speed").value] <= SLOW);
}

async function chooseUnit(chosen, feature = state.feature) {
  const before = state.block;
  Object.assign(state, chosen, { outcome: false, feature });
  const { quantities } = block();
  if (!(state.quantity in quantities)) state.quantity = "c" in quantities ? "c" : "h";
  state.unit = Math.max(0, Math.min(quantity().low.length - 1, state.unit));
  await load(quantity());
  showControls();
  redraw("paint");
  if (state.block !== before) await loadBlock(block());
  redraw("step");
}

function showControls() {
  const names = ORDER.filter((name) => name in block().quantities);
  for (const input of $("quantities").querySelectorAll("input")) {
    input.checked = state.outcome ? input.value === "outcome" : input.value === state.quantity;
    input.disabled = input.value !== "outcome" && !names.includes(input.value);
    input.parentElement.hidden = input.disabled;
  }
  $("layer").value = state.block;
  $("unit").value = state.unit + 1;
  $("unit").max = quantity().low.length;
  $("unit-count").textContent = `of ${count(quantity().low.length)}`;
  const layer = blocks.length > 1 ? `, ${block().name}` : "";
  $("cell-title").textContent = `The cell of unit ${count(state.unit + 1)}${layer}`;
  $("map-title").textContent = `All units at this step: ${NAMES[state.quantity]}`;
  const key = state.outcome ? "" : `${state.block}.${state.quantity}.${state.unit}`;
  for (const button of document.querySelectorAll("button.unit")) {
    button.setAttribute("aria-pressed", String(button.dataset.key === key));
  }
}

function setSpan(span) {
  state.span = span && [Math.min(...span), Math.max(...span)];
  [$("from").value, $("to").value] = state.span ? state.span.map((step) => step + 1) : ["", ""];
  redraw("step");
  find();
}

let asked = 0;

async function find() {
  const ask = ++asked;
  if (!state.span) {
    $("hits").replaceChildren();
    return;
  }
  for (const one of blocks) await loadBlock(one);
  await new Promise(requestAnimationFrame); // of several spans in a row, only the last is searched
  if (ask !== asked) return;
  const found = search(blocks, state.span, $("against").value === "near");
  $("hits").replaceChildren(...found.map((unit) => {
    const item = make("li");
    item.append(unitButton(unit, (chosen) => chooseUnit(chosen, null)));
    return item;
  }));
  showControls();
  const best = found[0];
  if (!best) return say("No step is outside the span");
  say(`${found.length} units found; the best is ${NAMES[best.quantity]}, unit ${best.unit + 1}`);
}

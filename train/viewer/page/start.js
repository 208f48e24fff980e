// Builds the controls, adds listeners, and draws for the first time.

const text = content.kind === "text";
const touch = matchMedia("(pointer: coarse)").matches;
const HELP = [
  [`${touch ? "Tap" : "Point at"} a ${text ? "character" : "step"}`,
    `to see ${!content.forecasts && !content.predictions ? "the values" : "the predictions"} there`],
  ["Drag over some", "to find the units that react to them"],
  ["Space", "plays, arrow keys step"],
];

function buildTexts() {
  $("facts").append(isolated(content.source), ` · ${content.facts} · `, describeBlocks());
  $("help").replaceChildren(...HELP.map(([what, why]) => {
    const part = make("span"), strong = make("b");
    strong.textContent = what;
    part.append(strong, ` ${why}`);
    return part;
  }));
  $("panel").setAttribute("aria-label", `${text ? "The text" : "The series"}, step by step`);
  $("panel").setAttribute("aria-valuemax", steps);
  $("search-help").textContent =
    `Drag over ${text ? "the text" : "the series"}, or hold Shift with the arrow keys. ` +
    "The score: how often a step inside the span is higher ▲, or lower ▼, than one outside.";
  $("units-help").textContent =
    "The score: rank correlation with a number; for true and false, how often two steps are " +
    "ordered correctly. By chance: the best score of any unit when the feature is shifted in time.";
  $("expected-title").textContent = content.forecasts
    ? "Forecast from here, the dashed line"
    : content.predictions?.heading ?? "";
  $("expected-title").hidden = $("expected").hidden = !content.forecasts && !content.predictions;
}

function describeBlocks() {
  const sizes = blocks.filter((one) => one.direction !== "backward").map(sizeOf);
  const directions = blocks.some((one) => one.direction) ? " in both directions" : "";
  const gates = blocks[0].quantities.f ? "" : "; gates are not available for this layer type";
  return `${sizes.join(" + ")} units${directions}${gates}`;
}

function sizeOf({ quantities: { c, h } }) {
  const [cells, shown] = [c ?? h, h].map((one) => one.low.length);
  return cells === shown ? count(shown) : `${count(cells)} (projected to ${count(shown)})`;
}

function buildControls() {
  const there = ORDER.filter((name) => blocks.some((one) => name in one.quantities));
  const all = there.map((name) => [name, SHORT[name]]);
  if (content.outcome) all.push(["outcome", content.outcome.name]);
  for (const [value, label] of all) {
    const [field, input, name] = ["label", "input", "span"].map(make);
    Object.assign(input, { type: "radio", name: "quantity", value });
    name.textContent = label;
    field.title = value === "outcome" ? content.outcome.about : NAMES[value];
    input.addEventListener("change", () => {
      if (value !== "outcome") return chooseUnit({ quantity: value });
      state.outcome = true;
      showControls();
      redraw("paint");
    });
    field.append(input, name);
    $("quantities").append(field);
  }
  blocks.forEach((one, k) => $("layer").append(new Option(one.name, k)));
  $("layer-field").hidden = blocks.length === 1;
  for (const id of ["step", "from", "to"]) $(id).max = steps;
  $("zoom-field").hidden = text;
  listFollowed($("followed"), (chosen, feature) => chooseUnit(chosen, feature));
}

function listenToControls() {
  $("layer").addEventListener("change", () => chooseUnit({ block: Number($("layer").value) }));
  $("unit").addEventListener("change", () => {
    chooseUnit({ unit: Math.round(Number($("unit").value) || 1) - 1 });
  });
  $("unit-before").addEventListener("click", () => chooseUnit({ unit: state.unit - 1 }));
  $("unit-after").addEventListener("click", () => chooseUnit({ unit: state.unit + 1 }));
  $("full").addEventListener("change", () => {
    state.full = $("full").checked;
    redraw("paint");
  });
  $("play").addEventListener("click", () => player.toggle());
  $("speed").addEventListener("input", smoothen);
  $("back").addEventListener("click", () => goTo(state.step - 1));
  $("forward").addEventListener("click", () => goTo(state.step + 1));
  $("step").addEventListener("input", () => goTo(Number($("step").value) - 1));
  $("zoom-in").addEventListener("click", () => zoom(2));
  $("zoom-out").addEventListener("click", () => zoom(0.5));
  $("clear").addEventListener("click", () => setSpan(null));
  $("here").addEventListener("click", () => setSpan([state.step, state.step]));
  $("against").addEventListener("change", find);
  for (const id of ["from", "to"]) $(id).addEventListener("change", readSpan);
  for (const id of ["controls", "search"]) {
    $(id).addEventListener("submit", (event) => event.preventDefault());
  }
}

function zoom(factor) {
  view.magnify(factor, state.step);
  redraw("base");
}

function readSpan() {
  const [from, to] = ["from", "to"].map((id) => Math.round(Number($(id).value)));
  const within = (step) => Math.max(0, Math.min(steps - 1, step - 1));
  setSpan(from || to ? [within(from || to), within(to || from)] : null);
}

function listenToPointer() {
  watchPointer($("panel"), view.stepAt, {
    hover(step, event) {
      if (state.hovered === step && !event) return;
      state.hovered = step;
      state.pointer = event ?? state.pointer;
      redraw("step");
    },
    choose(step, extend) {
      if (extend) setSpan([state.step, step]);
      else goTo(step);
    },
    span: (from, to) => setSpan([from, to]),
  });
  $("panel").addEventListener("scroll", () => redraw("base"), { passive: true });
}

// Keys for the whole page, except where a field needs them.
function listenToKeys() {
  let clicked = false;
  document.addEventListener("pointerdown", () => (clicked = true));
  document.addEventListener("keyup", (event) => {
    if (event.key === " " && clicked && event.target.tagName === "BUTTON") event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Tab") clicked = false;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target, tag = target.tagName;
    const playable = target.type === "checkbox" || (target.type === "range" && event.key === " ");
    const typing = tag === "SELECT" || (tag === "INPUT" && !playable);
    if (event.key === "Escape") {
      $("tip").hidden = true;
      state.hovered = null;
      return setSpan(null);
    }
    if (typing) return;
    // An element reached by Tab keeps its space bar; a clicked one does not.
    const own = tag === "BUTTON" || tag === "SUMMARY" || target.type === "checkbox";
    if (event.key === " " && (clicked || !own)) {
      event.preventDefault();
      return player.toggle();
    }
    const to = stepOfKey(event.key);
    if (to === null) return;
    event.preventDefault();
    if (event.shiftKey) extend(to);
    goTo(to);
  });
}

function stepOfKey(key) {
  const moves = {
    ArrowLeft: () => state.step - 1,
    ArrowRight: () => state.step + 1,
    ArrowUp: () => view.vertical(state.step, -1),
    ArrowDown: () => view.vertical(state.step, 1),
    PageUp: () => view.vertical(state.step, -10),
    PageDown: () => view.vertical(state.step, 10),
    Home: () => 0,
    End: () => steps - 1,
  };
  return key in moves ? Math.max(0, Math.min(steps - 1, moves[key]())) : null;
}

// Moves the end of the span at the chosen step, or starts a span there.
function extend(to) {
  const [first, last] = state.span ?? [state.step, state.step];
  setSpan([state.step === first ? last : first, to]);
}

async function begin() {
  if (!("DecompressionStream" in window)) {
    throw new Error("this browser cannot decompress the numbers (it has no DecompressionStream)");
  }
  buildTexts();
  buildControls();
  listenToControls();
  listenToPointer();
  listenToKeys();
  const sizes = new ResizeObserver(() => {
    view.resized();
    map.resized();
    redraw("base", "size");
  });
  for (const id of ["panel", "moment"]) sizes.observe($(id));
  scheme.addEventListener("change", () => {
    readTheme();
    redraw("paint");
  });
  const { block, quantity, unit, feature, step } = content.first;
  state.step = step;
  await chooseUnit({ block, quantity, unit }, content.followed[feature] ?? null);
  view.reveal(step);
  requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("ready")));
  await loadBlock(blocks[state.block]);
  performance.mark("loaded");
  redraw("step");
}

begin().catch((error) => ($("help").textContent = `The page cannot be shown: ${error.message}`));

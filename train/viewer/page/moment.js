// What was read at a step, what the model expected then, and what came.

const BEFORE = 14; // characters of the text before this one

function readAt(step) {
  if (content.kind === "text") return `x is ${glyphOf(characters[step])}`;
  if (content.kind === "roll") return "x is the keys that sound";
  return content.columns.length === 1 ? `x is ${plain(content.values[step])}` : "x is all columns";
}

function showRead(element, step) {
  element.replaceChildren();
  if (content.kind === "text") {
    const line = document.createElement("p");
    line.className = "reading";
    const before = characters.slice(Math.max(0, step - BEFORE), step).map(glyphOf).join("");
    line.append(isolated(before, "before"), isolated(glyphOf(characters[step]), "now"));
    element.append(line);
  } else if (content.kind === "roll") {
    const on = content.columns.filter((_, key) => content.values[key * steps + step]);
    element.append(sentence(on.length ? `${on.join(" ")} sound` : "no key sounds"));
  } else {
    const list = document.createElement("dl");
    list.className = content.columns.length > 4 ? "columns many" : "columns";
    content.columns.forEach((name, k) => {
      const [term, value] = [document.createElement("dt"), document.createElement("dd")];
      term.append(isolated(name));
      value.textContent = plain(content.values[k * (content.values.length / content.columns.length) + step]);
      list.append(term, value);
    });
    element.append(list);
  }
  const outcome = content.outcome;
  if (outcome) {
    const value = outcome.values[step];
    const text = Number.isNaN(value) ? `${outcome.name} not known here` : `${outcome.name}: ${number(value)} ${outcome.unit}`;
    element.append(sentence(text.trim()));
  }
}

function sentence(text) {
  const line = document.createElement("p");
  line.append(isolated(text));
  return line;
}

// The best predictions at a step: [name, chance, whether it came]; none before the first.
function predictionsAt(step) {
  const { predictions } = content;
  if (!predictions || step < predictions.first) return [];
  const row = step - predictions.first, width = predictions.ids.length / (steps - predictions.first);
  return Array.from({ length: width }, (_, k) => {
    const id = predictions.ids[row * width + k];
    return { id, chance: predictions.chances[row * width + k], came: predictions.came?.[row] === id };
  });
}

const nameOf = (id) => (content.kind === "text" ? glyphOf(content.predictions.names[id]) : content.predictions.names[id]);
const spokenOf = (id) => (content.kind === "text" ? spoken(content.predictions.names[id]) : content.predictions.names[id]);

function showExpected(list, step) {
  const found = content.forecasts ? [] : predictionsAt(step);
  while (list.children.length > found.length) list.lastChild.remove();
  while (list.children.length < found.length) {
    const item = document.createElement("li");
    item.append(isolated("", "what"), document.createElement("span"), document.createElement("b"));
    list.append(item);
  }
  found.forEach(({ id, chance, came }, k) => {
    const [what, bar, value] = list.children[k].children;
    what.textContent = nameOf(id);
    bar.className = "bar";
    bar.style.setProperty("--part", chance);
    value.textContent = percent(chance);
    list.children[k].classList.toggle("came", came);
    list.children[k].setAttribute("aria-label", `${spokenOf(id)} ${percent(chance)}${came ? ", which is right" : ""}`);
  });
  if (content.forecasts) showForecast(list, step);
}

// Of up to eight columns, the next step, one in the middle and the last one.
function forecastsAt(step) {
  const { first, values } = content.forecasts;
  const width = content.columns.length, horizon = content.values.length / width - steps;
  if (step < first) return [];
  const start = (step - first) * horizon * width;
  const shown = [...new Set([0, Math.floor((horizon - 1) / 2), horizon - 1])];
  return content.columns.slice(0, 8).map((name, k) => ({
    name, numbers: shown.map((ahead) => `+${ahead + 1}: ${plain(values[start + ahead * width + k])}`),
  }));
}

function showForecast(list, step) {
  list.replaceChildren(...forecastsAt(step).map(({ name, numbers }) => {
    const item = document.createElement("li");
    item.className = "forecast";
    item.append(isolated(name, "what"), document.createTextNode(numbers.join("   ")));
    return item;
  }));
}

// A few words below the sequence, where the rest is out of sight.
function briefly(step, value) {
  const found = content.forecasts ? [] : predictionsAt(step).slice(0, 2);
  return [value, ...found.map(({ id, chance }) => `${nameOf(id)} ${percent(chance)}`)].join("   ");
}

// A few words at the pointer.
function showTip(tip, step, event, value) {
  tip.hidden = step === null;
  if (step === null) return;
  const lines = [`step ${count(step + 1)}   ${value}`];
  const found = content.forecasts ? [] : predictionsAt(step).slice(0, 3);
  if (content.forecasts) lines.push(...forecastsAt(step).slice(0, 3).map(({ name, numbers }) => `${name} ${numbers[0]}`));
  if (found.length) lines.push(found.map(({ id, chance }) => `${nameOf(id)} ${percent(chance)}`).join("   "));
  tip.replaceChildren(...lines.map(sentence));
  // Towards the middle of the window, so that nothing has to be measured.
  const { clientX: x, clientY: y } = event;
  const across = x < innerWidth / 2 ? `${x + 14}px` : `calc(${x - 14}px - 100%)`;
  const down = y < innerHeight / 2 ? `${y + 22}px` : `calc(${y - 14}px - 100%)`;
  tip.style.transform = `translate(${across}, ${down})`;
}

// The same for those who listen.
function spokenMoment(step, value) {
  const read = content.kind === "text" ? `reads ${spoken(characters[step])}` : "";
  const expected = content.forecasts
    ? forecastsAt(step).map(({ name, numbers }) => `${name} ${numbers.join(", ")}`)
    : predictionsAt(step).slice(0, 3).map(({ id, chance }) => `${spokenOf(id)} ${percent(chance)}`);
  const expects = expected.length ? `expects ${expected.join(", ")}` : "";
  return [`Step ${step + 1} of ${steps}`, read, value, expects].filter(Boolean).join("; ");
}

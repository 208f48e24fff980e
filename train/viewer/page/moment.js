// A step: its input, the predictions, and the correct one.

const BEFORE = 14; // characters of the text before this one

function readAt(step) {
  if (content.kind === "text") return `x is ${glyphOf(characters[step])}`;
  if (content.kind === "roll") return "x is the keys that sound";
  return content.columns.length === 1 ? `x is ${plain(content.values[step])}` : "x is all columns";
}

function showRead(element, step) {
  element.replaceChildren();
  if (content.kind === "text") {
    const line = make("p");
    line.className = "reading";
    const before = characters.slice(Math.max(0, step - BEFORE), step).map(glyphOf).join("");
    line.append(isolated(before, "before"), isolated(glyphOf(characters[step]), "now"));
    element.append(line);
  } else if (content.kind === "roll") {
    const on = content.columns.filter((_, key) => content.values[key * steps + step]);
    element.append(sentence(on.length ? `${on.join(" ")} sound` : "no key sounds"));
  } else {
    const list = make("dl");
    list.className = content.columns.length > 4 ? "columns many" : "columns";
    const length = content.values.length / content.columns.length; // with the steps after the sequence
    content.columns.forEach((name, k) => {
      const [term, value] = [make("dt"), make("dd")];
      term.append(isolated(name));
      value.textContent = plain(content.values[k * length + step]);
      list.append(term, value);
    });
    element.append(list);
  }
  const outcome = content.outcome;
  if (outcome) {
    const value = outcome.values[step];
    const text = Number.isNaN(value) ? "not known here" : `${number(value)} ${outcome.unit}`;
    element.append(sentence(`${outcome.name}: ${text}`.trim()));
  }
}

function sentence(text) {
  const line = make("p");
  line.append(isolated(text));
  return line;
}

// The top predictions at a step: { id, probability, correct }; none before the first.
function predictionsAt(step) {
  const { predictions } = content;
  if (!predictions || step < predictions.first) return [];
  const row = step - predictions.first;
  const width = predictions.ids.length / (steps - predictions.first);
  return Array.from({ length: width }, (_, k) => {
    const id = predictions.ids[row * width + k];
    const probability = predictions.probabilities[row * width + k];
    return { id, probability, correct: predictions.correct?.[row] === id };
  });
}

const asItIs = (name) => name;
const nameOf = (id) => (characters ? glyphOf : asItIs)(content.predictions.names[id]);
const spokenOf = (id) => (characters ? spoken : asItIs)(content.predictions.names[id]);

function showExpected(list, step) {
  const found = content.forecasts ? [] : predictionsAt(step);
  while (list.children.length > found.length) list.lastChild.remove();
  while (list.children.length < found.length) {
    const item = make("li");
    item.append(isolated("", "what"), make("span"), make("b"));
    list.append(item);
  }
  found.forEach(({ id, probability, correct }, k) => {
    const [what, bar, value] = list.children[k].children;
    what.textContent = nameOf(id);
    bar.className = "bar";
    bar.style.setProperty("--part", probability);
    value.textContent = percent(probability);
    list.children[k].classList.toggle("correct", correct);
    const label = `${spokenOf(id)} ${percent(probability)}${correct ? ", which is correct" : ""}`;
    list.children[k].setAttribute("aria-label", label);
  });
  if (content.forecasts) showForecast(list, step);
}

// For up to eight columns: the next step, a middle one and the last one.
function forecastsAt(step) {
  const { first, values } = content.forecasts;
  const width = content.columns.length, horizon = content.values.length / width - steps;
  if (step < first) return [];
  const start = (step - first) * horizon * width;
  const shown = [...new Set([0, Math.floor((horizon - 1) / 2), horizon - 1])];
  const valueOf = (ahead, k) => plain(values[start + ahead * width + k]);
  return content.columns.slice(0, 8).map((name, k) => ({
    name, numbers: shown.map((ahead) => `+${ahead + 1}: ${valueOf(ahead, k)}`),
  }));
}

function showForecast(list, step) {
  list.replaceChildren(...forecastsAt(step).map(({ name, numbers }) => {
    const item = make("li");
    item.className = "forecast";
    item.append(isolated(name, "what"), isolated(numbers.join("   "), "numbers"));
    return item;
  }));
}

// A short text below the sequence, for small windows.
function briefly(step, value) {
  const found = content.forecasts ? [] : predictionsAt(step).slice(0, 2);
  return [value, ...found.map(({ id, probability }) => `${nameOf(id)} ${percent(probability)}`)].join("   ");
}

// A short text at the pointer.
function showTip(tip, step, event, value) {
  tip.hidden = step === null;
  if (step === null) return;
  const lines = [`step ${count(step + 1)}   ${value}`];
  const found = content.forecasts ? [] : predictionsAt(step).slice(0, 3);
  if (content.forecasts) {
    const some = forecastsAt(step).slice(0, 3);
    lines.push(...some.map(({ name, numbers }) => `${name} ${numbers[0]}`));
  }
  const words = found.map(({ id, probability }) => `${nameOf(id)} ${percent(probability)}`);
  if (words.length) lines.push(words.join("   "));
  tip.replaceChildren(...lines.map(sentence));
  // Placed towards the middle of the window, so that no size has to be measured.
  const { clientX: x, clientY: y } = event;
  const across = x < innerWidth / 2 ? `${x + 14}px` : `calc(${x - 14}px - 100%)`;
  const down = y < innerHeight / 2 ? `${y + 22}px` : `calc(${y - 14}px - 100%)`;
  tip.style.transform = `translate(${across}, ${down})`;
}

// The same for screen readers.
function spokenMoment(step, value) {
  const read = content.kind === "text" ? `reads ${spoken(characters[step])}` : "";
  const expected = content.forecasts
    ? forecastsAt(step).map(({ name, numbers }) => `${name} ${numbers.join(", ")}`)
    : predictionsAt(step).slice(0, 3).map(({ id, probability }) => `${spokenOf(id)} ${percent(probability)}`);
  const expects = expected.length ? `expects ${expected.join(", ")}` : "";
  return [`Step ${step + 1} of ${steps}`, read, value, expects].filter(Boolean).join("; ");
}

// The choice of a unit: a map of all units at a step, and those that follow features.

const SEEN = 6; // features listed at once

// One square per unit, in the colours of the quantity; a click calls `choose`.
function mapOf(canvas, choose) {
  let columns = 1, size = 10, shown = 0, width = 300;
  const resized = () => (width = canvas.parentElement.clientWidth); // reading it forces a layout

  function draw(quantity, unit, step) {
    const units = quantity.low.length;
    shown = units;
    size = Math.max(7, Math.min(22, Math.floor(Math.sqrt((width * 110) / units))));
    columns = Math.max(1, Math.floor(width / size));
    const rows = Math.ceil(units / columns);
    const ctx = context(canvas, Math.min(columns, units) * size + 2, rows * size + 2);
    const scale = scaleOf(quantity, unit, true), { css } = maps[scale.map];
    for (let k = 0; k < units; k++) {
      ctx.fillStyle = css[levelOf(valueAt(quantity, k, step) ?? 0, scale)];
      const [x, y] = placeOf(k);
      ctx.fillRect(1 + x, 1 + y, size - 1, size - 1);
    }
    const [x, y] = placeOf(unit);
    ctx.strokeStyle = theme.ink;
    ctx.lineWidth = 2;
    ctx.strokeRect(x + 0.5, y + 0.5, size, size);
  }

  const placeOf = (unit) => [(unit % columns) * size, Math.floor(unit / columns) * size];

  const unitAt = (event) => {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - 1) / size);
    const unit = Math.floor((event.clientY - box.top - 1) / size) * columns + column;
    return column >= 0 && column < columns && unit >= 0 && unit < shown ? unit : null;
  };
  canvas.addEventListener("click", (event) => unitAt(event) !== null && choose(unitAt(event)));
  canvas.addEventListener("pointermove", (event) => {
    const unit = unitAt(event);
    canvas.title = unit === null ? "" : `unit ${unit + 1}`;
  });
  return { draw, resized };
}

// A button for a unit of a ranking.
function unitButton({ block, quantity, unit, score, rises }, choose) {
  const button = make("button");
  button.type = "button";
  button.className = "unit";
  const name = make("span");
  name.textContent = `${SHORT[quantity]} ${unit + 1}`;
  if (blocks.length > 1) {
    const small = make("small"), { layer, direction } = blocks[block];
    small.textContent = ` L${layer + 1}${{ forward: "→", backward: "←" }[direction] ?? ""}`;
    name.append(small);
  }
  const value = make("span");
  value.className = "score";
  value.textContent = `${rises ? "▲" : "▼"} ${Math.min(score, 1).toFixed(2)}`;
  button.append(name, value);
  button.style.setProperty("--part", Math.max(0, Math.min(1, score)));
  const where = blocks.length > 1 ? ` of ${blocks[block].name}` : "";
  const how = `${score.toFixed(2)}, ${rises ? "higher" : "lower"} there`;
  button.setAttribute("aria-label", `${NAMES[quantity]}, unit ${unit + 1}${where}: ${how}`);
  button.addEventListener("click", () => choose({ block, quantity, unit }));
  button.dataset.key = `${block}.${quantity}.${unit}`;
  return button;
}

// Features that some unit follows beyond chance, then the others.
function listFollowed(parent, choose) {
  parent.replaceChildren();
  const beyond = (one) => one.best[0].score > one.chance;
  const kept = content.followed.filter(beyond);
  const rest = content.followed.filter((one) => !beyond(one));
  for (const [name, memory] of [["Needs memory", true], ["Input of this step", false]]) {
    const some = kept.filter((one) => one.memory === memory);
    if (!some.length) continue;
    const head = make("h3");
    head.className = "group";
    head.textContent = name;
    parent.append(head, ...some.slice(0, SEEN).map((one) => featureGroup(one, choose)));
    if (some.length <= SEEN) continue;
    const more = make("details"), title = make("summary");
    title.textContent = `${some.length - SEEN} more`;
    more.append(title, ...some.slice(SEEN).map((one) => featureGroup(one, choose)));
    parent.append(more);
  }
  if (rest.length) {
    const names = rest.map((one) => one.name).join(", ");
    const none = sentence(`No unit follows these beyond chance: ${names}.`);
    none.className = "note";
    parent.append(none);
  }
  if (!kept.length && !rest.length) {
    parent.append(sentence("The sequence is too short or too uniform to tell."));
  }
}

function featureGroup(one, choose) {
  const [group, head, chance] = ["div", "h4", "span"].map(make);
  group.className = "feature";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", `${one.name}; by chance ${one.chance.toFixed(2)}`);
  if (one.about) head.title = one.about;
  chance.className = "chance";
  chance.textContent = `by chance ${one.chance.toFixed(2)}`;
  head.append(isolated(one.name), chance);
  const buttons = make("div");
  buttons.className = "chips";
  for (const unit of one.best.filter(({ score }) => score > one.chance).slice(0, 4)) {
    buttons.append(unitButton(unit, (chosen) => choose(chosen, one)));
  }
  group.append(head, buttons);
  return group;
}

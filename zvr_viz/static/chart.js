// The step axis: schedule and quality of one site over the steps, the chosen token below, and the cursor.

const LABELS = 172; // pixels for the words on the right
const INSET = 8; // half the thumb of the slider below, so that both share one axis

class Chart {
  constructor(explorer) {
    this.explorer = explorer;
    this.sheet = new Sheet("schedule and match quality over the steps");
    this.el = this.sheet.el;
    this.height = 142;
    const { canvas } = this.sheet;
    const go = (event) => event.buttons && explorer.go(this.position(event.offsetX));
    canvas.addEventListener("pointerdown", (event) => (canvas.setPointerCapture(event.pointerId), go(event)));
    canvas.addEventListener("pointermove", go);
  }

  // Makes the plot higher or lower by so many pixels, within reason.
  grow(by) {
    this.height = Math.max(142, Math.min(230, this.height + by));
  }

  position(x) {
    const last = this.explorer.head.axis.length - 1;
    return Math.max(0, Math.min(last, Math.round(((x - INSET) / (this.width - LABELS - 2 * INSET)) * last)));
  }

  // The curves of one run: words, how to draw them, and a value in [0, 1] for each place on the axis.
  curves(scene, { run, site }) {
    const found = site ? run.curve(site) : null;
    const at = (read) => scene.head.axis.map((place) => (found?.[place[run.number]] ? read(found[place[run.number]]) ?? null : null));
    const { marks, theme, feature } = scene;
    return [
      { words: "merge ratio", area: true, colour: theme.area, values: at(({ ratio }) => ratio) },
      { words: "noise", colour: theme.muted, dash: [1, 3], values: scene.head.axis.map((place) => run.noise[place[run.number]]) },
      { words: "flow right", colour: marks.flow, dash: [], values: at(({ right }) => right.flow) },
      { words: `${featureWords(feature)} right`, colour: marks[feature], dash: DASHES[feature] ?? DASHES.other, values: at(({ right }) => right[feature]) },
      { words: "both agree", colour: theme.ink, dash: [], values: at(({ agree }) => agree[feature]) },
    ].filter(({ values }) => values.some((value) => value !== null && value !== undefined));
  }

  draw(scene, width) {
    this.width = width;
    const plot = { left: INSET, right: width - LABELS - INSET, top: 8, bottom: this.height - 24 };
    const last = Math.max(1, scene.head.axis.length - 1);
    const x = (pos) => plot.left + (pos / last) * (plot.right - plot.left);
    const y = (value) => plot.bottom - value * (plot.bottom - plot.top);
    const sets = scene.looks.map((look) => this.curves(scene, look));
    const context = this.sheet.fit(width, this.height);
    context.font = scene.theme.font;
    context.textBaseline = "middle";
    for (const value of [0, 0.5, 1]) {
      context.fillStyle = scene.theme.faint;
      context.fillRect(plot.left, Math.round(y(value)), plot.right - plot.left, 1);
    }
    sets.forEach((set, i) => set.forEach((curve) => this.curve(context, curve, x, y, i)));
    this.sheet.say(scene.head.axis.length ? "" : sentence(scene.looks[0].run.missing.steps));
    this.strip(context, scene, x, plot);
    context.fillStyle = scene.theme.ink;
    context.fillRect(Math.round(x(scene.pos)) - 0.75, plot.top - 6, 1.5, plot.bottom - plot.top + 24);
    this.words(context, scene, sets, plot, y, width - LABELS + 10);
  }

  curve(context, { values, area, colour, dash }, x, y, second) {
    context.globalAlpha = second ? 0.45 : 1;
    context.beginPath();
    let open = false;
    values.forEach((value, pos) => {
      if (value === null || value === undefined) return (open = false);
      open ? context.lineTo(x(pos), y(value)) : context.moveTo(x(pos), y(value));
      open = true;
    });
    if (values.length === 1) context.arc(x(0), y(values[0]), 2, 0, 7);
    if (area && !second) {
      context.lineTo(x(values.length - 1), y(0));
      context.lineTo(x(0), y(0));
      context.fillStyle = colour;
      context.fill();
    } else {
      context.setLineDash(dash ?? []);
      [context.lineWidth, context.strokeStyle] = [1.75, colour];
      context.stroke();
      context.setLineDash([]);
    }
    context.globalAlpha = 1;
  }

  // At which steps flow and features disagree about the chosen token.
  strip(context, scene, x, plot) {
    const { run, site } = scene.looks[0];
    if (!site || scene.token < 0) return;
    const table = scene.tables.magma;
    const half = (plot.right - plot.left) / Math.max(1, scene.head.axis.length - 1) / 2;
    scene.head.axis.forEach((place, pos) => {
      const apart = run.pairs(place[0], site, scene.frame, scene.feature)?.apart?.[scene.token];
      const [from, to] = [Math.max(plot.left, x(pos) - half), Math.min(plot.right, x(pos) + half)];
      context.fillStyle = apart >= 0 ? `rgb(${table[Math.round(255 * Math.min(1, apart / site.most))]})` : scene.theme.faint;
      context.fillRect(from, plot.bottom + 8, to - from + 0.5, 7);
    });
  }

  // Each curve's name with its value under the cursor, as near to its height as there is room.
  words(context, scene, sets, plot, y, left) {
    const { run, step } = scene.looks[0];
    const sigma = run.sigma[step] === undefined ? "" : `, σ ${significant(run.sigma[step])}`;
    const lines = sets[0].map((curve) => {
      const values = sets.map((set) => set.find(({ words }) => words === curve.words)?.values[scene.pos]);
      return { ...curve, text: `${curve.words} ${values.map(percent).join(" | ")}${curve.words === "noise" ? sigma : ""}`, y: y(values[0] ?? 0) };
    });
    lines.sort((a, b) => a.y - b.y);
    lines.forEach((line, i) => (line.y = Math.max(line.y, i ? lines[i - 1].y + 15 : 8)));
    for (let i = lines.length - 1, most = plot.bottom - 4; i >= 0; i--, most -= 15) lines[i].y = Math.min(lines[i].y, most);
    for (const line of lines) {
      if (line.area) (context.fillStyle = line.colour), context.fillRect(left, line.y - 4, 16, 8);
      else strokes(context, [[left, line.y, left + 16, line.y]], line.colour, line.dash, 1.75, null);
      context.fillStyle = scene.theme.ink;
      context.fillText(line.text, left + 22, line.y, LABELS - 34);
    }
    const apart = scene.looks[0].pairs?.apart?.[scene.token];
    context.fillStyle = scene.theme.muted;
    if (scene.token >= 0) context.fillText(apart >= 0 ? `this token: ${apart.toFixed(1)} apart` : "this token", left, plot.bottom + 13, LABELS - 12);
  }
}

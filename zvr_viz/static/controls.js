// Everything in words: the title, the legend whose entries switch what they name, sliders, the live line, the help.

const PICTURES = { preview: "estimate at this step", lq: "input", restored: "result", truth: "truth" };
const FEATURES = { cosine: "cosine", cosine_spatial: "cosine nearby" };
const featureWords = (name) => FEATURES[name] ?? name.replaceAll("_", " ");

class Controls {
  constructor(explorer) {
    this.explorer = explorer;
    this.name = h("strong");
    this.about = h("span");
    this.title = h("div.zvr-title", {}, this.name, this.about);
    const select = (field, label) => h("select", { "aria-label": label, "data-own": "", onchange: (event) => explorer.set({ [field]: event.target.value }) });
    this.picture = select("picture", "what the frames show");
    this.layer = select("layer", "map over the source frame");
    this.feature = select("feature", "which matches by features");
    this.choose = select("choose", "which tokens are shown");
    this.scale = h("span.zvr-scale");
    const ask = h("button.zvr-button", { type: "button", title: "keys (?)", "aria-label": "help", onclick: () => this.helped() }, "?");
    this.tools = h("div.zvr-tools", {}, h("label", {}, "Picture ", this.picture), h("label", {}, "Map ", this.layer), this.scale, ask);
    this.legend = this.buildLegend();
    this.tokens = this.buildTokens();
    this.frames = this.slider("frame", (value) => explorer.set({ frame: value }));
    this.steps = this.slider("step", (value) => explorer.go(value));
    this.player = h("button.zvr-button.zvr-play", { type: "button", title: "play (space)", "aria-label": "play", onclick: () => explorer.play() }, "▶");
    this.steps.range.after(this.player);
    this.ticks = new Sheet("frames, their windows and key frames");
    this.frames.prepend(this.ticks.el);
    this.line = h("p.zvr-line", { role: "status", "aria-live": "polite" });
    this.note = h("p.zvr-caption");
    this.size = h("p.zvr-caption");
    this.foot = h("footer.zvr-foot", {}, this.line, this.note);
    this.help = h("div.zvr-help", { hidden: "" }, h("div", {}, ...KEYS.flatMap(([keys, what]) => [h("b", {}, keys), h("span", {}, what)])), this.size);
  }

  slider(what, act) {
    const range = h("input.zvr-range", { type: "range", min: 0, value: 0, "aria-label": what });
    range.addEventListener("input", () => act(+range.value));
    const words = h("output");
    return Object.assign(h("div.zvr-slider", { "data-what": what }, range, words), { range, words });
  }

  buildLegend() {
    this.chips = {};
    const chip = (name, glyphs, words, title) => {
      const toggle = () => {
        const { show } = this.explorer.state;
        this.explorer.set({ show: show.includes(name) ? show.filter((other) => other !== name) : [...show, name] });
      };
      this.chips[name] = h("button.zvr-chip", { type: "button", title, onclick: toggle }, ...glyphs, h("span", {}, words));
      return this.chips[name];
    };
    const { marks } = this.explorer.model.get("head").palette;
    const both = h("span.zvr-both", { title: "both targets are the same token or neighbours" }, glyph("flow", "#000"), "both agree");
    return h("div.zvr-legend", {},
      chip("flow", [glyph("flow", marks.flow)], "flow match", "where optical flow sends the token"),
      h("span.zvr-joined", {}, chip("feature", [], "", "where the network's features send it"), this.feature),
      both,
      chip("truth", [glyph("truth", "#fff")], "true place", "where it really went"),
      chip("lines", [glyph("lines", "#888")], "lines", "lines from token to match"),
      chip("path", [glyph("path", marks.cosine)], "path", "where the features sent the chosen token at the other steps")); // prettier-ignore
  }

  buildTokens() {
    this.threshold = h("input.zvr-range", { type: "range", min: 0, max: 100, step: 1, "aria-label": "least disagreement shown, in tokens", "data-own": "" });
    this.threshold.addEventListener("input", () => this.explorer.set({ threshold: this.thresholdValue() }));
    this.count = h("output");
    return h("span.zvr-tokens", {}, this.choose, this.threshold, this.count);
  }

  thresholdValue() {
    return (+this.threshold.value / 100) * (this.explorer.runs[0].site(this.explorer.state.site)?.most ?? 10);
  }

  layers() {
    const { runs } = this.explorer;
    return Object.keys(LAYERS).filter((name) => !LAYERS[name].needs || runs[0][LAYERS[name].needs]);
  }

  // What depends on the recordings only.
  open() {
    const { runs, head } = this.explorer;
    const [run] = runs;
    write(this.name, [...new Set(runs.map(({ name }) => name))].join(", "));
    const facts = runs.length > 1 ? runs.map(({ label }) => label).join(" against ") : `${run.method} · ${run.model} model`;
    write(this.about, [facts, plural(head.frames, "frame"), plural(head.axis.length, "step")].join(" · "));
    write(this.note, head.note);
    write(this.size, head.help ?? "");
    options(this.picture, run.pictures.map((name) => [name, PICTURES[name]]));
    options(this.layer, this.layers().map((name) => [name, LAYERS[name].words]));
    options(this.choose, [["largest", "most apart"], ["spread", "evenly spread"]]);
    options(this.feature, run.features.map((name) => [name, `${featureWords(name)} match`]));
    this.feature.parentElement.hidden = !run.features.length;
    this.chips.truth.hidden = !run.truth;
    this.legend.hidden = !run.sites.length;
    this.marked = null;
    this.frames.range.max = head.frames - 1;
    this.steps.range.max = Math.max(0, head.axis.length - 1);
    for (const slider of [this.frames, this.steps]) slider.range.disabled = slider.range.max < 1;
  }

  // The controls follow the state at once, before anything is drawn.
  sync() {
    const { state, head } = this.explorer;
    if (!state) return;
    const pos = this.explorer.position(state.step);
    this.steps.range.value = pos;
    this.frames.range.value = state.frame;
    for (const name of ["picture", "layer", "feature", "choose"]) if (this[name].value !== state[name]) this[name].value = state[name];
    for (const [name, chip] of Object.entries(this.chips)) chip.setAttribute("aria-pressed", state.show.includes(name));
    const most = this.explorer.runs[0].site(state.site)?.most ?? 10;
    this.threshold.value = Math.round((state.threshold / most) * 100);
    if (this.marked !== state.feature && head) {
      this.marked = state.feature;
      const name = SHAPES[state.feature] ? state.feature : "other";
      this.chips.feature.replaceChildren(glyph(name, head.palette.marks[state.feature] ?? "#CC79A7"));
    }
  }

  // What is on the screen, in words.
  describe(scene) {
    const [look] = scene.looks;
    const { run, step, site } = look;
    const layer = LAYERS[scene.state.layer];
    const most = layer.of && site ? layer.most(site) : 0;
    if (this.scaled !== `${scene.state.layer} ${most}`) {
      this.scaled = `${scene.state.layer} ${most}`;
      this.scale.title = layer.legend ?? "";
      this.scale.replaceChildren(...(most ? ["0", colourBar(layer, scene.tables), `${most}${layer.map === "magma" ? " tokens" : ""}`] : []));
    }
    const noise = step < 0 ? "no step" : `step ${step} of ${run.total}`;
    const sigma = run.sigma[step] === undefined ? "" : `σ ${significant(run.sigma[step])}`;
    const partner = scene.looks[1] ? `against step ${scene.looks[1].step} of ${scene.looks[1].run.total}` : "";
    this.say(this.steps, noise, [noise, partner, sigma].filter(Boolean).join(", "));
    this.say(this.frames, `frame ${scene.frame} of ${scene.head.frames}`, `frame ${scene.frame} of ${scene.head.frames}, key frame ${scene.key}`);
    const far = scene.state.threshold ? `≥ ${scene.state.threshold.toFixed(1)} apart: ` : "";
    write(this.count, scene.listed.length ? `${far}${scene.chosen.length} of ${scene.listed.length}` : "");
    this.tokens.hidden = !scene.looks[0].pairs?.order || scene.frame === scene.key;
    this.tick(scene, run);
    write(this.line, this.token(scene, look) || [noise, sigma, `frame ${scene.frame}`].filter(Boolean).join(" · "));
  }

  // Above the frame slider: a tick for each frame, taller where a window begins, a diamond for its key frame.
  tick(scene, run) {
    const width = this.frames.range.offsetWidth;
    const context = this.ticks.fit(width, 10);
    const last = Math.max(1, scene.head.frames - 1);
    const x = (frame) => INSET + (frame / last) * (width - 2 * INSET);
    const starts = run.windows.slice(1).map(([start]) => start);
    context.fillStyle = scene.theme.muted;
    if (scene.head.frames < 100) for (let frame = 0; frame < scene.head.frames; frame++) context.fillRect(x(frame) - 0.5, 6, 1, 3);
    for (const start of starts) context.fillRect((x(start - 1) + x(start)) / 2 - 0.5, 0, 1, 10);
    markers(context, "diamond", run.windows.map(([, , key]) => [x(key), 5]), 3, scene.theme.ink, "transparent"); // prettier-ignore
  }

  say(slider, words, spoken) {
    write(slider.words, words);
    slider.range.setAttribute("aria-valuetext", spoken);
  }

  // The numbers of the token under the pointer, or of the chosen one.
  token(scene, { run, site, step, pairs }) {
    const token = scene.hovered >= 0 ? scene.hovered : scene.token;
    if (!site || token < 0 || !pairs?.flow) return "";
    const where = (number) => (number < 0 ? "none" : `${number % site.grid[1]},${Math.floor(number / site.grid[1])}`);
    const { flow } = pairs;
    const words = [`step ${step}, ${site.name}, token ${token} at ${where(token)}`];
    words.push(`flow to ${where(flow.target[token])} (returns within ${significant(flow.error[token])} px)`);
    if (pairs.target) {
      words.push(`${featureWords(scene.feature)} to ${where(pairs.target[token])} (${fixed(pairs.score()[token])}, margin ${fixed(pairs.margin()[token])})`);
      words.push(pairs.apart[token] >= 0 ? `${pairs.apart[token].toFixed(1)} tokens apart` : "");
      words.push(pairs.matches.merged[token] ? `merged: takes the output of ${where(pairs.matches.provider[token])} in frame ${scene.frame + pairs.matches.offset[token]}` : "");
    }
    words.push(run.truth ? (flow.truth[token] < 0 ? "true place hidden" : `truly at ${where(flow.truth[token])}`) : "");
    return words.filter(Boolean).join(" · ");
  }

  played(on) {
    write(this.player, on ? "❚❚" : "▶");
    this.player.setAttribute("aria-label", on ? "pause" : "play");
    this.line.setAttribute("aria-live", on ? "off" : "polite"); // a screen reader cannot keep up
  }

  helped(on = this.help.hidden) {
    this.help.hidden = !on;
  }
}

function options(select, pairs) {
  select.replaceChildren(...pairs.map(([value, words]) => h("option", { value }, words ?? value)));
}

const plural = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
const fixed = (value) => (Number.isFinite(value) ? value.toFixed(2) : "–");
const significant = (value) => (Number.isFinite(value) ? String(+value.toPrecision(2)) : "–");

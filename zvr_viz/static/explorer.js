// The explorer: one cursor (step, frame, site, token, row) that all panes follow.
//
// `state` is where the user wants to be, `scene` what is drawn: a state with all its parts at hand.  Until the parts have come the
// old scene stays, and the words on the screen are always those of the scene.

const START = {
  step: 0, frame: 0, site: "", token: -1, row: 0.5, picture: "preview", layer: "none", feature: "", choose: "largest", threshold: 0,
  show: ["flow", "feature", "truth", "lines", "path"],
}; // prettier-ignore
const BEAT = 140; // milliseconds per step while playing
const KEYS = [
  ["← →", "step; with Shift five steps"], ["↑ ↓", "frame; with Shift five frames"], ["Home End", "first, last step"],
  ["Space", "play"], [", .", "next token by disagreement"], ["[ ]", "site"], ["M", "map"], ["P", "picture"], ["?", "this help"],
]; // prettier-ignore

class Explorer {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.hovered = -1;
    this.stale = new Set(); // what is to be drawn anew
    this.awaited = { now: new Set(), later: new Set() }; // names of what the scene needs, and of what it would show besides
    this.store = new Store(model, (names) => this.came(names));
    this.controls = new Controls(this);
    this.panes = { pair: new Pair(this), chart: new Chart(this), similarity: new Similarity(this), sites: new Sites(this), profile: new Profile(this) };
    this.live = new Live(this);
    this.root = this.build();
    el.append(this.root);
    this.listen();
    this.measure();
    this.open();
  }

  build() {
    const { pair, chart, similarity, sites, profile } = this.panes;
    const { title, tools, legend, frames, steps, foot, help } = this.controls;
    this.main = h("div.zvr-main", {}, pair.el, legend, frames, chart.el, steps);
    this.side = h("div.zvr-side", {}, similarity.el, sites.el, profile.el);
    return h("div.zvr", { tabindex: 0, role: "group", "aria-label": "explorer of a restoration" },
      h("header.zvr-top", {}, title, tools), this.live.el, h("div.zvr-body", {}, this.main, this.side), foot, help); // prettier-ignore
  }

  listen() {
    const { root, model } = this;
    root.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("pointerdown", (event) => event.target.closest("button, input, select") || root.focus({ preventScroll: true }));
    const on = (name, act) => (model.on(name, act), () => model.off(name, act));
    const media = matchMedia("(prefers-color-scheme: dark)");
    const retheme = () => ((this.theme = null), this.draw());
    media.addEventListener("change", retheme);
    const themed = new MutationObserver(retheme); // JupyterLab names its theme on the body
    themed.observe(document.body, { attributes: true });
    const sized = new ResizeObserver(() => (this.measure(), this.draw()));
    for (const column of [this.main, this.side]) sized.observe(column);
    const seen = new IntersectionObserver(() => this.draw()); // a canvas scrolled out of view may have lost its pixels
    seen.observe(root);
    this.undo = [
      on("change:head", () => this.open()),
      on("change:live", () => this.live.update()),
      on("change:state", () => this.restore()),
      () => media.removeEventListener("change", retheme),
      () => [themed, sized, seen].forEach((observer) => observer.disconnect()),
      () => clearInterval(this.playing),
      () => this.store.close(),
    ];
  }

  // How wide the columns are; beside each other, the chart grows until both end together.
  measure() {
    const { main, side, panes } = this;
    this.widths = [main.clientWidth, panes.similarity.el.clientWidth];
    const beside = side.offsetTop < main.offsetTop + 20;
    panes.chart.grow(beside ? side.clientHeight - main.clientHeight : 0);
  }

  // A new description: first of all recordings, then whenever a step is added.
  open() {
    const head = this.model.get("head");
    const followed = this.model.get("live").follow && this.head && this.position(this.state.step) === this.head.axis.length - 1;
    if (this.head && head.epoch !== this.store.epoch) this.store.unpack();
    this.head = head;
    this.store.missing.clear(); // what was not there may be now
    this.runs = head.runs.map((about, number) => new Run(number, about, head, this.store));
    this.tables = Object.fromEntries(Object.entries(head.palette.maps).map(([name, anchors]) => [name, colourTable(anchors)]));
    this.panes.sites.build(this.runs);
    this.state = this.valid({ ...START, ...head.first, ...this.state, ...this.model.get("state") });
    if (followed && head.axis.length) this.state.step = head.axis.at(-1)[0];
    this.controls.open();
    this.live.update();
    this.draw();
  }

  // A state that the recordings can show, whatever was asked for.
  valid(state) {
    const [run] = this.runs;
    const pick = (value, known, other) => (known.includes(value) ? value : other);
    state.frame = Math.min(Math.max(0, Math.round(state.frame) || 0), this.head.frames - 1);
    state.site = pick(state.site, run.sites.map(({ name }) => name), run.sites[0]?.name ?? ""); // prettier-ignore
    state.feature = pick(state.feature, run.features, run.features[0] ?? "");
    state.picture = pick(state.picture, run.pictures, run.pictures[0] ?? "preview");
    state.layer = pick(state.layer, Object.keys(LAYERS), "none");
    state.step = this.head.axis[this.position(state.step)]?.[0] ?? 0;
    if (!run.truth && LAYERS[state.layer].needs === "truth") state.layer = "none";
    return state;
  }

  position(step) {
    return nearest(this.head.axis, step);
  }

  restore() {
    this.state = this.valid({ ...this.state, ...this.model.get("state") });
    this.draw();
  }

  set(changes) {
    if (changes.site && this.state.token >= 0) changes.token = this.sameplace(this.state.token, changes.site);
    Object.assign(this.state, changes);
    this.valid(this.state);
    this.follow();
    clearTimeout(this.telling); // the kernel hears where the cursor comes to rest
    this.telling = setTimeout(() => {
      this.model.set("state", { ...this.state });
      this.model.save_changes();
    }, 120);
  }

  // The token of another site that shows the same place.
  sameplace(token, name) {
    const [from, to] = [this.runs[0].site(this.state.site), this.runs[0].site(name)].map(({ grid }) => grid);
    const [row, column] = [Math.floor(token / from[1]), token % from[1]];
    return Math.floor(((row + 0.5) / from[0]) * to[0]) * to[1] + Math.floor(((column + 0.5) / from[1]) * to[1]);
  }

  go(pos) {
    const place = this.head.axis[Math.max(0, Math.min(this.head.axis.length - 1, pos))];
    if (place) this.set({ step: place[0] });
  }

  point(token) {
    if (token === this.hovered) return;
    this.hovered = token;
    this.follow("token");
  }

  choose(token) {
    if (token >= 0) this.set({ token });
  }

  // The next token in the order of disagreement.
  turn(by) {
    const { scene } = this;
    const list = scene?.listed ?? [];
    if (!list.length) return;
    const place = list.indexOf(this.state.token);
    this.set({ token: list[(place + by + list.length + (place < 0 && by < 0 ? 1 : 0)) % list.length] });
  }

  cycle(name, known) {
    this.set({ [name]: known[(known.indexOf(this.state[name]) + 1) % known.length] });
  }

  play() {
    if (this.playing) {
      clearInterval(this.playing);
      this.playing = null;
    } else {
      const beat = () => this.scene?.state.step === this.state.step && this.go((this.position(this.state.step) + 1) % this.head.axis.length);
      this.playing = setInterval(beat, BEAT);
    }
    this.controls.played(Boolean(this.playing));
  }

  // Nothing that is pressed inside reaches the notebook, except to save it.
  key(event) {
    if ((event.ctrlKey || event.metaKey) && event.key === "s") return;
    event.stopPropagation();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    if (target.closest("[data-own]") && !["?", "Escape"].includes(event.key)) return; // sliders and lists that use the arrows themselves
    if (target.closest("button") && [" ", "Enter"].includes(event.key)) return;
    const pos = this.position(this.state.step);
    const leap = event.shiftKey ? 5 : 1;
    const sites = this.runs[0].sites.map(({ name }) => name);
    const near = (by) => sites.length && this.set({ site: sites[(sites.indexOf(this.state.site) + by + sites.length) % sites.length] });
    const act = {
      ArrowLeft: () => this.go(pos - leap),
      ArrowRight: () => this.go(pos + leap),
      ArrowUp: () => this.set({ frame: this.state.frame - leap }),
      ArrowDown: () => this.set({ frame: this.state.frame + leap }),
      Home: () => this.go(0),
      End: () => this.go(this.head.axis.length - 1),
      " ": () => this.play(),
      ",": () => this.turn(-1),
      ".": () => this.turn(1),
      "[": () => near(-1),
      "]": () => near(1),
      m: () => this.cycle("layer", this.controls.layers()),
      p: () => this.cycle("picture", this.runs[0].pictures),
      "?": () => this.controls.helped(),
      Escape: () => this.controls.helped(false),
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  // Draws with the next screen frame, once, whatever happens until then.  `what`: "all"; "token" where only the one under the pointer
  // is another; "profile" where only its pictures have come.
  draw(what = "all") {
    this.stale.add(what);
    this.controls.sync();
    this.due ??= requestAnimationFrame(() => {
      this.due = null;
      if (this.stale.size) this.render();
    });
  }

  // What a hand does is drawn at once, and shows with the next screen frame; a second time within a frame it waits for that.
  follow(what) {
    const free = !this.due;
    this.draw(what);
    if (free) this.render();
  }

  render() {
    const scene = compose(this.state, this.head, this.runs, this.store);
    const all = this.stale.has("all");
    if (scene.ready && this.widths[0]) this.paint(scene, all); // without a width it is not on the screen
    if (all) this.prefetch(scene);
    this.stale.clear();
  }

  paint(scene, all) {
    this.theme ??= this.readTheme();
    const marks = { ...this.head.palette.marks, other: "#CC79A7" };
    this.scene = Object.assign(scene, { theme: this.theme, tables: this.tables, marks, both: "#000", hovered: this.hovered });
    chooseTokens(scene);
    this.state.token = scene.state.token = scene.token;
    const { pair, chart, similarity, sites, profile } = this.panes;
    const [main, side] = this.widths;
    if (all || this.stale.has("token")) pair.draw(scene, main), similarity.draw(scene, side), this.controls.describe(scene);
    if (all) chart.draw(scene, main), sites.draw(scene);
    if (all || this.stale.has("profile")) profile.draw(scene, side);
    this.root.dataset.step = scene.state.step;
  }

  // Asks for what is missing now, then for what the panes show besides, then for the neighbourhood; decodes that, too.
  prefetch(scene) {
    const { runs, store } = this;
    const [later, ahead] = [besides(scene, runs), neighbours(scene, runs)];
    const shown = (name) => (isPicture(name) ? store.pictures.get(name) : store.get(name));
    const lacking = (names) => new Set(names.filter((name) => !shown(name) && !store.missing.has(name)));
    this.awaited = { now: lacking(scene.needed), later: lacking(later) };
    store.want(scene.needed, [...new Set([...later, ...ahead])]);
    store.decodeLater([...ahead, ...later.filter(isPicture)]);
  }

  // Parts or a picture have come.
  came(names) {
    const { now, later } = this.awaited;
    const awaited = names.filter((name) => now.has(name) || later.has(name));
    if (awaited.length) this.draw(awaited.some((name) => now.has(name) || !isPicture(name)) ? "all" : "profile");
  }

  readTheme() {
    const style = getComputedStyle(this.root);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    return { ink: colour("ink"), muted: colour("muted"), faint: colour("faint"), area: colour("area"), font: `12px ${style.fontFamily}` };
  }

  close() {
    this.undo.forEach((undo) => undo());
    this.root.remove();
  }
}

const isPicture = (name) => /^\d+\/(preview|lq|truth|restored)\//.test(name);

export default {
  render({ model, el }) {
    const explorer = new Explorer(model, el);
    return () => explorer.close();
  },
};

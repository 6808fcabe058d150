// The panes beside the pair: similarity of one token, the list of sites, one row of pixels over time.

const pane = (title, ...children) => h("section.zvr-pane", {}, title, ...children);

// One token's cosine with every token of the key frame, the three targets on it, and the cosine at each.
class Similarity {
  constructor(explorer) {
    this.explorer = explorer;
    this.title = h("h3");
    this.sheet = new Sheet("cosine similarity of the token with the key frame");
    this.list = h("div.zvr-targets");
    this.caption = h("p.zvr-caption");
    this.el = pane(this.title, h("div.zvr-similarity", {}, this.sheet.el, h("div", {}, this.list, this.caption)));
    this.sheet.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.sheet.canvas.addEventListener("pointerleave", () => this.explorer.draw());
  }

  draw(scene, width) {
    const look = scene.looks[0];
    const token = scene.hovered >= 0 ? scene.hovered : scene.token;
    const [height, wide] = look.run.size;
    const w = Math.min(0.66 * width, (190 * wide) / height);
    this.box = { x: 0, y: 0, width: w, height: (w * height) / wide };
    const context = this.sheet.fit(this.box.width, this.box.height);
    context.fillStyle = scene.theme.faint;
    context.fillRect(0, 0, this.box.width, this.box.height);
    write(this.title, token >= 0 ? `Similarity of token ${token}` : "Similarity");
    this.row = look.rows?.of?.get(token)?.();
    this.sheet.say(this.missing(look, token));
    this.targets(scene, look, token);
    if (!this.row) return write(this.caption, "");
    this.paint ??= paint(1, (share) => [...scene.tables.cividis[Math.round(255 * share)], 1]);
    drawTokens(context, tokenPicture(this.row, look.site.grid, this.paint), look.site, look.run.size, this.box);
    for (const [name, target] of this.ends(scene, look, token).reverse()) {
      if (target < 0) continue;
      const place = centre(target, look.site, look.run.size, this.box);
      const truth = name === "truth";
      markers(context, SHAPES[name] ?? SHAPES.other, [place], truth ? 8 : 5, truth ? "#fff" : scene.marks[name], truth ? EDGE : HALO);
    }
    write(this.caption, "cosine: dark is 0, light is 1");
  }

  // Where flow, features and truth send the token; -1 where nowhere.
  ends(scene, look, token) {
    const { pairs, run } = look;
    const all = [["flow", pairs?.flow?.target], [scene.feature, pairs?.target], ["truth", run.truth ? pairs?.flow?.truth : null]];
    return token < 0 ? [] : all.filter(([, targets]) => targets).map(([name, targets]) => [name, targets[token]]);
  }

  // The list is made anew only when other matches are shown: canvases are dear.
  targets(scene, look, token) {
    const ends = this.ends(scene, look, token);
    const names = ends.map(([name]) => name).join();
    if (names !== this.names) {
      this.names = names;
      const words = { flow: "flow", truth: "truth", [scene.feature]: featureWords(scene.feature) };
      const colour = (name) => (name === "truth" ? "#fff" : scene.marks[name] ?? scene.marks.other);
      this.rows = ends.map(([name]) => [h("span"), h("b", { title: "cosine there" })]);
      this.list.replaceChildren(...ends.flatMap(([name], i) => [h("span", {}, glyph(name, colour(name)), words[name]), h("span", {}, ...this.rows[i])]));
    }
    ends.forEach(([, target], i) => {
      const columns = look.site.grid[1];
      write(this.rows[i][0], target < 0 ? "hidden" : `${target % columns}, ${Math.floor(target / columns)}`);
      write(this.rows[i][1], target >= 0 && this.row ? this.row[target].toFixed(2) : "");
    });
  }

  // Why there is no map, and what to do about it.
  missing(look, token) {
    if (look.step < 0) return sentence(look.pictureNote);
    if (!look.site) return sentence(look.siteNote);
    if (this.explorer.scene.frame === this.explorer.scene.key) return "The key frame is not matched with itself. Choose another frame.";
    if (!look.rows) return "";
    if (look.rows.note) return sentence(look.rows.note);
    if (look.rows.of.has(token)) return "";
    if (!look.rows.probes.length) return `No rows were kept of this frame at step ${look.step}.`;
    const count = look.rows.probes.length;
    return `No row was recorded for this token. ${count} tokens have one here: the filled dots. For more record with RecordAt(similarity=${2 * count}).`;
  }

  point(event) {
    const { scene } = this.explorer;
    const look = scene?.looks[0];
    if (!this.row) return;
    const token = tokenAt(event.offsetX, event.offsetY, look.site, look.run.size, this.box);
    if (token >= 0) write(this.caption, `cosine with token ${token} of the key frame: ${this.row[token].toFixed(2)}`);
  }
}

// The attention sites: where they are, their grid, how good their matches are at this step.
class Sites {
  constructor(explorer) {
    this.explorer = explorer;
    this.note = h("p.zvr-caption");
    this.list = h("div.zvr-sites", { role: "listbox", "aria-label": "attention sites" });
    this.el = pane(h("h3", {}, "Sites"), this.list, this.note);
    this.rows = new Map();
  }

  build(runs) {
    this.rows.clear();
    this.list.replaceChildren(
      ...runs[0].sites.map((site) => {
        const bars = h("span.zvr-bars");
        const row = h(
          "button.zvr-site",
          { role: "option", type: "button", onclick: () => this.explorer.set({ site: site.name }) },
          h("span.zvr-name", {}, site.name, this.own(site)),
          h("span.zvr-grid", {}, `${site.grid[1]}×${site.grid[0]}`),
          bars,
        );
        row.title = site.own ? `the method itself merges here along ${site.own.replace("_", " ")} matches` : "the method matches nothing here";
        this.rows.set(site.name, { row, bars, site });
        return row;
      }),
    );
  }

  // The mark of the matcher that the method itself merges by.
  own(site) {
    const { marks } = this.explorer.head.palette;
    const canvas = h("canvas", { width: 18, height: 18, "aria-hidden": "true" });
    if (site.own) markers(canvas.getContext("2d"), SHAPES[site.own] ?? SHAPES.other, [[9, 9]], 6, marks[site.own] ?? marks.cosine, "transparent");
    return canvas;
  }

  draw(scene) {
    const look = scene.looks[0];
    const { truth } = look.run;
    for (const [name, { row, bars, site }] of this.rows) {
      row.setAttribute("aria-selected", name === scene.state.site);
      const found = look.run.curve(site)?.[look.step];
      const kinds = truth ? ["flow", scene.feature] : ["agree"];
      const values = kinds.map((kind) => (kind === "agree" ? found?.agree?.[scene.feature] : found?.right?.[kind]));
      if (bars.childElementCount !== kinds.length) bars.replaceChildren(...kinds.map(() => h("span.zvr-track", {}, h("i"))));
      values.forEach((value, i) => {
        const bar = bars.children[i].firstChild;
        bar.style.width = `${100 * (value ?? 0)}%`;
        bar.style.background = kinds[i] === "agree" ? "var(--ink)" : scene.marks[kinds[i]];
      });
      bars.title = values.map((value, i) => `${kinds[i]} ${percent(value)}`).join(", ");
    }
    const words = truth ? "share of right matches: flow, features" : "share of tokens on which flow and features agree";
    const { missing } = look.run;
    write(this.note, this.rows.size ? [sentence(words), missing.truth && sentence(missing.truth)].filter(Boolean).join(" ") : sentence(missing.sites));
  }
}

// One row of pixels of every frame, under each other: flicker shows as fringes.
class Profile {
  constructor(explorer) {
    this.explorer = explorer;
    this.title = h("h3");
    this.sheet = new Sheet("one row of pixels over time");
    this.range = h("input.zvr-range", { type: "range", min: 0, max: 1000, step: 1, "aria-label": "row of the profile", "data-own": "" });
    this.range.addEventListener("input", () => explorer.set({ row: this.range.value / 1000 }));
    this.kept = [];
    this.el = pane(h("div.zvr-line2", {}, this.title, this.range), this.sheet.el);
  }

  // What is stacked: a name and, for each frame, a part.
  stacks(scene) {
    const { looks } = scene;
    const frames = Array.from({ length: scene.head.frames }, (_, frame) => frame);
    const still = (kind, words) => (looks[0].run.pictures.includes(kind) ? [[words, frames.map((f) => looks[0].run.picturePart(kind, 0, f))]] : []);
    const steps = looks.map(({ run, step }) => [looks.length > 1 ? run.label : `step ${step}`, frames.map((f) => run.picturePart("preview", step, f))]);
    return [...still("lq", "input"), ...steps.filter((_, i) => looks[i].run.pictures.includes("preview")), ...still("restored", "result"), ...still("truth", "truth")];
  }

  draw(scene, width) {
    const stacks = this.stacks(scene);
    const lines = Math.max(1, Math.min(16, Math.floor(44 / scene.head.frames))); // pixels per frame
    const height = lines * scene.head.frames;
    const labels = scene.looks.length > 1 ? 72 : 52;
    const context = this.sheet.fit(width, Math.max(stacks.length, 1) * (height + 5) - 5 + (stacks.length ? 0 : 40));
    const [tall] = scene.looks[0].run.size;
    write(this.title, `Row ${Math.round(scene.row * (tall - 1))} over time`);
    this.range.value = Math.round(scene.row * 1000);
    this.range.setAttribute("aria-valuetext", `row ${Math.round(scene.row * (tall - 1))} of ${tall}`);
    this.sheet.say(stacks.length ? "" : sentence("no pictures were recorded; record them with RecordAt(what={…, 'preview', 'clip'})"));
    context.font = scene.theme.font;
    context.textBaseline = "middle";
    context.imageSmoothingEnabled = false; // frames stay apart
    stacks.forEach(([words, parts], i) => {
      const top = i * (height + 5);
      context.fillStyle = scene.theme.faint;
      context.fillRect(labels, top, width - labels, height);
      const rows = this.rows(i, parts, scene.row);
      if (rows) context.drawImage(rows, labels, top, width - labels, height);
      context.fillStyle = scene.theme.muted;
      context.fillText(words, 0, top + height / 2, labels - 6);
      context.fillStyle = scene.theme.ink; // the frame that is shown
      context.fillRect(labels - 4, top + scene.frame * lines, 3, Math.max(lines, 2));
    });
  }

  // The row of each picture that is there, one under the other; kept until another picture or row is asked for.
  rows(place, parts, row) {
    const pictures = parts.map((name) => this.explorer.store.pictures.get(name));
    const first = pictures.find(Boolean);
    if (!first) return null;
    const asked = `${row} ${parts[0]} ${pictures.map(Boolean)}`;
    const kept = (this.kept[place] ??= { canvas: h("canvas") });
    if (kept.asked === asked) return kept.canvas;
    kept.asked = asked;
    [kept.canvas.width, kept.canvas.height] = [first.width, pictures.length];
    const context = kept.canvas.getContext("2d");
    pictures.forEach((picture, frame) => {
      if (picture) context.drawImage(picture, 0, Math.min(picture.height - 1, Math.floor(row * picture.height)), picture.width, 1, 0, frame, first.width, 1);
    });
    return kept.canvas;
  }
}

const percent = (value) => (value === null || value === undefined ? "–" : `${Math.round(100 * value)} %`);
const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? "" : "."}`;

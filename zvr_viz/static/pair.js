// The pair: the source frame beside its key frame, with the matches of chosen tokens, one row of two pictures for each run.

const GAP = 10; // pixels between pictures
const MOST_LINES = 48; // more pairs of lines nobody can follow

class Pair {
  constructor(explorer) {
    this.explorer = explorer;
    this.sheet = new Sheet("source frame and key frame with matches");
    this.captions = [h("span"), h("span")];
    this.el = h("figure.zvr-pair", {}, h("div.zvr-captions", {}, ...this.captions, explorer.controls.tokens), this.sheet.el);
    this.boxes = []; // for each run, where its two pictures are
    const { canvas } = this.sheet;
    canvas.addEventListener("pointermove", (event) => explorer.point(this.find(event)));
    canvas.addEventListener("pointerleave", () => explorer.point(-1));
    canvas.addEventListener("pointerdown", (event) => explorer.choose(this.find(event)));
  }

  // The token of the source frame under the pointer, or -1.
  find(event) {
    const { scene } = this.explorer;
    if (!scene?.site) return -1;
    const look = scene.looks.findIndex((_, i) => event.offsetY < this.boxes[i][0].y + this.boxes[i][0].height);
    if (look < 0 || !scene.looks[look].site) return -1;
    return tokenAt(event.offsetX, event.offsetY, scene.looks[look].site, scene.looks[look].run.size, this.boxes[look][0]);
  }

  // The pictures fill the width, but leave the rest of the view on the screen.
  layout(scene, width) {
    const most = scene.looks.length > 1 ? 240 : 330;
    let y = 0;
    this.boxes = scene.looks.map(({ run }, i) => {
      const [height, wide] = run.size;
      const w = Math.max(40, Math.min((width - GAP) / 2, (most * wide) / height));
      const box = { x: 0, y, width: w, height: (w * height) / wide };
      y += box.height + (i + 1 < scene.looks.length ? 26 : 0);
      return [box, { ...box, x: box.x + w + GAP }];
    });
    return y;
  }

  draw(scene, width) {
    const height = this.layout(scene, width);
    const context = this.sheet.fit(width, height);
    this.caption(scene);
    const notes = new Set();
    scene.looks.forEach((look, i) => {
      const [source, key] = this.boxes[i];
      if (i) this.label(context, scene, look, source);
      [[look.source, source], [look.keyed, key]].forEach(([picture, box]) => this.frame(context, scene, picture, box));
      if (look.pictureNote) notes.add(look.pictureNote);
      if (look.pairs?.note) notes.add(look.pairs.note);
      if (!look.site) return notes.add(look.siteNote);
      const layer = LAYERS[scene.state.layer];
      if (layer.of && look.pairs && !look.pairs.note) this.map(context, scene, look, layer, source);
      this.row(context, scene, source);
      if (look.pairs) this.matches(context, scene, look, source, key);
    });
    this.sheet.say([...notes].map(sentence).join(" "));
  }

  caption(scene) {
    const { frame, key, looks } = scene;
    const [source] = this.boxes[0];
    const first = `${looks.length > 1 ? `${looks[0].run.label}: ` : ""}frame ${frame}`;
    const second = frame === key ? `frame ${key} is the key frame` : `key frame ${key}`;
    this.captions[0].style.width = `${source.width + GAP}px`;
    write(this.captions[0], first);
    write(this.captions[1], second);
  }

  label(context, scene, look, box) {
    context.fillStyle = scene.theme.muted;
    context.font = scene.theme.font;
    context.fillText(`${look.run.label}: step ${look.step} of ${look.run.total}`, box.x, box.y - 7);
  }

  frame(context, scene, picture, box) {
    context.fillStyle = scene.theme.faint;
    context.fillRect(box.x, box.y, box.width, box.height);
    context.imageSmoothingEnabled = !picture || picture.width > 80; // a small input shows its pixels
    if (picture) context.drawImage(picture, box.x, box.y, box.width, box.height);
  }

  map(context, scene, look, layer, box) {
    const painted = tokenPicture(layer.of(look.pairs), look.site.grid, layerPaint(layer, layer.most(look.site), scene.tables));
    drawTokens(context, painted, look.site, look.run.size, box);
  }

  // Where the profile cuts: a notch on either side of the source frame.
  row(context, scene, box) {
    const y = box.y + scene.row * box.height;
    for (const [x, way] of [[box.x, 1], [box.x + box.width, -1]]) {
      context.beginPath();
      [[0, -5], [7 * way, 0], [0, 5]].forEach(([dx, dy]) => context.lineTo(x + dx, y + dy));
      context.closePath();
      context.fillStyle = "#fff";
      context.fill();
      [context.lineWidth, context.strokeStyle] = [1, EDGE];
      context.stroke();
    }
  }

  matches(context, scene, look, source, key) {
    const { hovered, token } = scene;
    const strong = hovered >= 0 ? hovered : token;
    const others = scene.chosen.filter((number) => number !== strong && number < tokens(look.site));
    context.globalAlpha = hovered >= 0 ? 0.3 : 1;
    this.group(context, scene, look, others, source, key, false);
    context.globalAlpha = 1;
    if (strong < 0 || strong >= tokens(look.site)) return;
    if (scene.state.show.includes("path")) this.path(context, scene, look, strong, key);
    this.group(context, scene, look, [strong], source, key, true);
    this.cell(context, centre(strong, look.site, look.run.size, source), look.site, look.run.size, source);
  }

  // Lines first, then true places, then where flow and features point: the small over the large.
  group(context, scene, look, numbers, source, key, strong) {
    const { run, site, pairs } = look;
    const shown = (name) => scene.state.show.includes(name);
    const at = (number, box) => centre(number, site, run.size, box);
    const same = (number) => pairs.apart?.[number] < scene.head.same;
    const kinds = [
      { name: "flow", visible: shown("flow"), of: pairs.flow?.target, takes: (number) => !same(number), colour: scene.marks.flow },
      { name: scene.feature, visible: shown("feature"), of: pairs.target, takes: (number) => !same(number), colour: scene.marks[scene.feature] ?? scene.marks.other },
      { name: "flow", visible: shown("flow") || shown("feature"), of: pairs.flow?.target, takes: same, colour: scene.both },
    ].filter(({ visible, of }) => visible && of);
    const faded = context.globalAlpha;
    for (const kind of kinds) {
      kind.found = numbers.filter((number) => kind.of[number] >= 0 && kind.takes(number));
      const lines = kind.found.map((number) => [...at(number, source), ...at(kind.of[number], key)]);
      if (!strong) context.globalAlpha = 0.6 * faded;
      if (strong || shown("lines")) strokes(context, lines, kind.colour, DASHES[kind.name] ?? DASHES.other, strong ? 2.25 : 0.9, strong ? HALO : null);
      context.globalAlpha = faded;
    }
    if (!strong) this.starts(context, look, numbers, (number) => at(number, source));
    const known = shown("truth") && pairs.flow ? numbers.filter((number) => pairs.flow.truth[number] >= 0) : [];
    markers(context, "diamond", known.map((number) => at(pairs.flow.truth[number], key)), strong ? 8 : 4.5, "#fff", EDGE); // prettier-ignore
    for (const { name, found, of, colour } of kinds)
      markers(context, SHAPES[name] ?? SHAPES.other, found.map((number) => at(of[number], key)), strong ? 5.5 : 3.25, colour); // prettier-ignore
  }

  // Where the lines begin; filled are the tokens with a recorded similarity row, whether or not their matches are drawn.
  starts(context, look, numbers, at) {
    const probes = look.rows?.probes ?? [];
    if (!numbers.length) return;
    const filled = new Set(probes);
    markers(context, "circle", numbers.filter((number) => !filled.has(number)).map(at), 2, "rgba(0,0,0,.35)", "#fff", 1); // prettier-ignore
    markers(context, "circle", probes.map(at), 2, "#fff", EDGE, 1);
  }

  cell(context, [x, y], site, [height, width], box) {
    const [w, h] = [(site.cell * box.width) / width, (site.cell * box.height) / height];
    for (const [grow, colour, wide] of [[1.5, EDGE, 3.5], [1.5, "#fff", 1.75]]) {
      [context.lineWidth, context.strokeStyle] = [wide, colour];
      context.strokeRect(x - w / 2 - grow, y - h / 2 - grow, w + 2 * grow, h + 2 * grow);
    }
  }

  // Where the features sent the token at each step: a trail of small points, those near this step stronger.
  path(context, scene, { run, site }, token, box) {
    if (token < 0) return;
    scene.head.axis.forEach((place, pos) => {
      const found = run.matches(place[run.number], site, scene.frame)?.by?.[scene.feature];
      if (!found || pos === scene.pos || !(found.target[token] >= 0)) return;
      context.globalAlpha = Math.max(0.3, 0.9 - 0.12 * Math.abs(pos - scene.pos));
      markers(context, "circle", [centre(found.target[token], site, run.size, box)], 2.25, scene.marks[scene.feature], EDGE, 0.75);
    });
    context.globalAlpha = 1;
  }
}

// A scene: a state of the cursor with all that the panes need to draw it, as far as it has come.

const AHEAD = 3; // steps whose pictures are decoded before they are asked for

function compose(state, head, runs, store) {
  const pos = nearest(head.axis, state.step);
  const place = head.axis[pos] ?? [];
  const { frame, feature, row } = state;
  const scene = { state: { ...state }, head, pos, frame, feature, row, key: runs[0].key[frame], site: runs[0].site(state.site), needed: [] };
  scene.looks = runs.map((run) => look(scene, run, place[run.number] ?? -1, store));
  scene.ready = scene.looks.every(({ ready }) => ready);
  return scene;
}

// The place on the axis that is nearest to a step of the first run.
function nearest(axis, step) {
  return axis.reduce((best, place, pos) => (Math.abs(place[0] - step) < Math.abs(axis[best][0] - step) ? pos : best), 0);
}

// What one run shows at its step: two pictures, pairs of matches, similarity rows; `ready` when each is there or known to be missing.
function look(scene, run, step, store) {
  const { state, frame } = scene;
  const site = run.site(state.site);
  const { missing } = run;
  const look = { run, step, site, ready: true, siteNote: missing.sites ?? `${run.label} has no site ${state.site}` };
  const want = (name) => (scene.needed.push(name), store.missing.get(name));
  const kind = run.pictures.includes(state.picture) ? state.picture : run.pictures[0];
  const picture = (number) => {
    if (!kind || (kind === "preview" && step < 0)) return null;
    const name = run.picturePart(kind, step, number);
    look.pictureNote = want(name) ?? look.pictureNote;
    const bitmap = store.picture(name);
    look.ready &&= Boolean(bitmap) || store.missing.has(name);
    return bitmap;
  };
  look.source = picture(frame);
  look.keyed = picture(run.key[frame]);
  look.pictureNote ??= step < 0 ? missing.steps ?? "this run has no step here" : missing.preview;
  if (!site || step < 0) return look;
  want(run.part("flow", site.name, frame));
  want(run.part("match", step, site.name, frame));
  look.pairs = run.pairs(step, site, frame, state.feature);
  if (run.number) look.rows = { probes: [], of: new Map() }; // only the first run's are shown
  else if (missing.rows) look.rows = { note: missing.rows };
  else want(run.part("rows", step, site.name, frame)), (look.rows = run.rows(step, site, frame));
  look.ready &&= Boolean(look.pairs && look.rows);
  return look;
}

// Which tokens are drawn, in which order the keys go through them, and which one is looked at.
function chooseTokens(scene) {
  const { state, site, frame, key } = scene;
  const { pairs, rows } = scene.looks[0];
  const enough = (token) => pairs.apart[token] >= state.threshold;
  scene.listed = pairs?.order && frame !== key ? Array.from(pairs.order().filter(enough)) : [];
  scene.chosen = state.choose === "largest" || !scene.listed.length ? scene.listed.slice(0, MOST_LINES) : spread(site.grid).filter(enough);
  const valid = state.token >= 0 && site && state.token < tokens(site);
  scene.token = valid ? state.token : scene.chosen.find((token) => rows?.of?.has(token)) ?? scene.chosen[0] ?? -1;
}

// About fifty tokens, evenly over the grid.
function spread([rows, columns]) {
  const every = Math.max(1, Math.round(Math.sqrt((rows * columns) / MOST_LINES)));
  const found = [];
  for (let row = every >> 1; row < rows; row += every) for (let column = every >> 1; column < columns; column += every) found.push(row * columns + column);
  return found;
}

// Names of the parts that panes of this scene show besides: the profile's pictures, the curves, the token's path.
function besides(scene, runs) {
  const { head, frame } = scene;
  const frames = Array.from({ length: head.frames }, (_, number) => number);
  return scene.looks.flatMap(({ run, step, site }) => {
    if (step < 0) return [];
    const pictures = run.pictures.flatMap((kind) => frames.map((number) => run.picturePart(kind, step, number)));
    const path = site ? head.axis.map((place) => run.part("match", place[run.number], site.name, frame)) : [];
    return [...pictures, ...(site ? [run.part("curve", site.name, run.steps)] : []), ...path, ...run.sites.map(({ name }) => run.part("curve", name, run.steps))];
  });
}

// Names of the pictures that the next few steps on either side show.
function neighbours(scene, runs) {
  const { head, frame, pos, state } = scene;
  const places = head.axis.slice(Math.max(0, pos - AHEAD), pos + AHEAD + 1);
  const shown = runs.filter((run) => state.picture === "preview" && run.pictures.includes("preview"));
  return places.flatMap((place) => shown.flatMap((run) => [frame, run.key[frame]].map((number) => run.part("preview", place[run.number], number))));
}

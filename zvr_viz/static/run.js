// One recording: its description, and its parts as arrays.  A part that has not come yet is null; what was not recorded has a `note`.

class Run {
  constructor(number, about, head, store) {
    Object.assign(this, about);
    this.number = number;
    this.head = head;
    this.store = store;
    this.read = new WeakMap(); // bytes of a part → what was made of it
  }

  site(name) {
    return this.sites.find((site) => site.name === name);
  }

  part(...where) {
    return `${this.number}/${where.join("/")}`;
  }

  picturePart(kind, step, frame) {
    return kind === "preview" ? this.part(kind, step, frame) : this.part(kind, frame);
  }

  // Bytes of a part through `make`, once.
  made(name, make) {
    const bytes = this.store.get(name);
    if (!bytes) return this.store.missing.has(name) ? { note: this.store.missing.get(name) } : null;
    if (!this.read.has(bytes)) this.read.set(bytes, make(new Reader(bytes)));
    return this.read.get(bytes);
  }

  flow(site, frame) {
    return this.made(this.part("flow", site.name, frame), (reader) => ({
      error: reader.take(Float32Array, tokens(site)),
      target: reader.targets(site),
      truth: reader.targets(site),
    }));
  }

  matches(step, site, frame) {
    const count = tokens(site);
    return this.made(this.part("match", step, site.name, frame), (reader) => {
      const by = Object.fromEntries(this.features.map((name) => [name, { target: reader.targets(site) }]));
      const provider = reader.targets(site);
      for (const name of this.features) {
        by[name].score = reader.numbers(count, -1, 1);
        by[name].margin = reader.numbers(count, 0, this.head.margin);
      }
      return { by, provider, offset: reader.take(Int8Array, count), merged: reader.take(Uint8Array, count) };
    });
  }

  // The tokens with a recorded row, and their rows.
  rows(step, site, frame) {
    return this.made(this.part("rows", step, site.name, frame), (reader) => {
      const probes = [];
      for (let token; (token = reader.take(Int32Array, 1)[0]) >= 0; ) probes.push(token);
      return { probes, of: new Map(probes.map((token) => [token, reader.numbers(tokens(site), -1, 1)])) };
    });
  }

  curve(site) {
    return this.made(this.part("curve", site.name, this.steps), (reader) => reader.json());
  }

  // Flow and features side by side at one step, site and frame: the heart of the view.  What few panes look at is made on call.
  pairs(step, site, frame, feature) {
    const flow = this.flow(site, frame);
    const matches = this.matches(step, site, frame);
    if (flow?.note || matches?.note) return { note: matches?.note || flow.note, flow: flow?.note ? null : flow };
    if (!flow || !matches) return null;
    const found = matches.by[feature];
    if (!found) return { note: `no matches by ${feature} were recorded; record them with RecordAt(matchers=("flow", "${feature}"))`, flow };
    const width = site.grid[1];
    found.apart ??= distances(flow.target, found.target, width);
    found.wrong ??= lazy(() => distances(flow.truth, found.target, width));
    found.order ??= lazy(() => sorted(found.apart, flow.error, site.cell));
    return { flow, matches, ...found };
  }
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes.slice(); // typed arrays want aligned memory
    this.place = 0;
  }

  take(type, count) {
    const values = new type(this.bytes.buffer, this.place, count);
    this.place += values.byteLength;
    return values;
  }

  // Token numbers; the largest value of the type means none, which becomes -1.
  targets(site) {
    const none = site.wide ? 2 ** 32 - 1 : 2 ** 16 - 1;
    const found = new Int32Array(this.take(site.wide ? Uint32Array : Uint16Array, tokens(site)));
    for (let i = 0; i < found.length; i++) if (found[i] === none) found[i] = -1;
    return found;
  }

  // Numbers between two ends, made of their bytes when they are first looked at.
  numbers(count, low, high) {
    const bytes = this.take(Uint8Array, count);
    return lazy(() => {
      const found = new Float32Array(count);
      for (let i = 0; i < count; i++) found[i] = bytes[i] === 255 ? NaN : low + (bytes[i] / 254) * (high - low);
      return found;
    });
  }

  json() {
    return JSON.parse(new TextDecoder().decode(this.bytes));
  }
}

const tokens = (site) => site.grid[0] * site.grid[1];

function lazy(make) {
  let value;
  return () => (value ??= make());
}

// How far two targets of each token lie apart, in tokens; NaN where one is missing.
function distances(first, second, width) {
  const found = new Float32Array(first.length);
  for (let i = 0; i < found.length; i++) {
    const [a, b] = [first[i], second[i]];
    const [rows, columns] = [((a / width) | 0) - ((b / width) | 0), (a % width) - (b % width)];
    found[i] = a < 0 || b < 0 ? NaN : Math.sqrt(rows * rows + columns * columns);
  }
  return found;
}

// Tokens by a value, the largest first; those without a value are left out, and those whose flow does not return come last: there
// the flow is lost, and no disagreement tells anything.
function sorted(values, error, most) {
  const known = Array.from(values.keys()).filter((i) => values[i] >= 0);
  const lost = error.map((pixels) => pixels > most);
  return Int32Array.from(known.sort((a, b) => lost[a] - lost[b] || values[b] - values[a] || a - b));
}

// The parts of the recordings by name: those that came along, those fetched from the kernel since, and decoded pictures.
// One urgent request is under way at a time, and what was asked for last goes next: a fast finger never waits for what it passed by.
// Besides, one request that nobody waits for: what the panes show around the cursor, then whatever the kernel thinks comes next.

const KEPT_BYTES = 96e6; // of fetched parts
const KEPT_PIXELS = 48e6; // of decoded pictures, 4 bytes each
const REST = 150; // milliseconds after the last move of the cursor in which the kernel is left to what may come next
const BATCH = 16; // parts in one request that nobody waits for; the kernel answers those it can at once

class Store {
  constructor(model, changed) {
    this.model = model;
    this.changed = changed; // called with the names of the parts or the picture that have come
    this.sent = 0;
    this.quiet = 0;
    this.toDecode = [];
    this.who = Math.random().toString(36).slice(2); // several views of one widget hear each other's answers
    this.hears = (content, buffers) => this.receive(content, buffers);
    model.on("msg:custom", this.hears);
    this.unpack();
  }

  unpack() {
    this.parts = new Map(); // name → bytes
    this.fetched = new Map(); // name → length, the least recently fetched first
    this.fetchedBytes = 0;
    this.missing = new Map(); // name → why, in words
    this.pictures = new Map(); // name → ImageBitmap, or null while it is decoded
    this.pixels = 0;
    this.flying = { now: null, later: null }; // names of the requests under way
    this.now = [];
    this.later = [];
    this.more = this.model.get("head").kernel; // whether the kernel has something to offer unasked
    this.epoch = this.model.get("head").epoch;
    const pack = this.model.get("pack");
    let place = pack.byteOffset;
    for (const [name, length] of this.model.get("index")) {
      this.parts.set(name, new Uint8Array(pack.buffer, place, length));
      place += length;
    }
  }

  get(name) {
    return this.parts.get(name);
  }

  // A decoded picture, or null: then it is decoded at once.
  picture(name) {
    const known = this.pictures.get(name);
    if (known !== undefined) {
      if (known) this.pictures.delete(name), this.pictures.set(name, known); // the most recently used stands last
      return known;
    }
    const bytes = this.parts.get(name);
    if (bytes && !this.missing.has(name)) this.decode(name, bytes);
    return null;
  }

  // Decodes pictures one after the other once the screen is drawn, instead of those that were to come before: to begin costs 3 ms each.
  decodeLater(names) {
    this.toDecode = names;
    clearTimeout(this.decoding);
    this.decoding = setTimeout(() => this.decodeNext());
  }

  decodeNext() {
    const name = this.toDecode.find((name) => this.parts.has(name) && !this.pictures.has(name) && !this.missing.has(name));
    if (name) this.decode(name, this.parts.get(name)).then(() => this.decodeNext());
  }

  async decode(name, bytes) {
    this.pictures.set(name, null);
    const { epoch } = this;
    try {
      const bitmap = await createImageBitmap(new Blob([bytes]));
      if (epoch !== this.epoch) return;
      this.pictures.set(name, bitmap);
      this.pixels += bitmap.width * bitmap.height;
    } catch {
      this.pictures.delete(name);
      this.missing.set(name, "this picture cannot be decoded");
    }
    for (const [old, bitmap] of this.pictures) {
      if (this.pixels <= KEPT_PIXELS) break;
      if (!bitmap || old === name) continue;
      this.pixels -= bitmap.width * bitmap.height;
      this.pictures.delete(old);
    }
    this.changed([name]);
  }

  // What the view needs now, and what it will likely need: replaces what was wanted before.
  want(now, later) {
    const absent = (name) => !this.parts.has(name) && !this.missing.has(name);
    this.now = now.filter(absent);
    this.later = later.filter(absent);
    this.quiet = performance.now() + REST;
    this.pump();
  }

  pump() {
    if (!this.model.get("head").kernel) return this.refuse();
    const { flying } = this;
    const coming = (name) => flying.now?.keys.includes(name) || flying.later?.keys?.includes(name);
    const urgent = this.now.filter((name) => !coming(name));
    if (urgent.length && !flying.now) this.send("now", { kind: "fetch", keys: urgent });
    if (flying.later || flying.now) return;
    const rest = this.quiet - performance.now();
    if (rest > 0) {
      clearTimeout(this.resting);
      this.resting = setTimeout(() => this.pump(), rest);
      return;
    }
    const keys = this.later.splice(0, BATCH);
    if (keys.length) this.send("later", { kind: "fetch", keys, patient: true });
    else if (this.more) this.send("later", { kind: "more" });
  }

  send(which, message) {
    this.flying[which] = { ...message, id: `${this.who}:${++this.sent}` };
    this.model.send(this.flying[which]);
  }

  // A file holds all there is.
  refuse() {
    const names = [...this.now, ...this.later];
    for (const name of names) this.missing.set(name, "not kept in this file; open the trace in a notebook to see it");
    this.now = this.later = [];
    if (names.length) queueMicrotask(() => this.changed(names));
  }

  receive(content, buffers) {
    if (content.kind !== "parts" || content.epoch !== this.epoch) return;
    content.keys.forEach((name, i) => this.keep(name, bytesOf(buffers[i])));
    for (const [name, why] of Object.entries(content.missing)) this.missing.set(name, why);
    for (const which of ["now", "later"]) {
      if (this.flying[which]?.id !== content.id) continue;
      if (this.flying[which].patient) this.later.unshift(...this.flying[which].keys.filter((name) => !this.parts.has(name) && !this.missing.has(name)));
      this.flying[which] = null;
    }
    this.more &&= content.more;
    this.changed([...content.keys, ...Object.keys(content.missing)]);
    this.pump();
  }

  keep(name, bytes) {
    if (this.parts.has(name)) return;
    this.parts.set(name, bytes);
    this.fetched.set(name, bytes.byteLength);
    this.fetchedBytes += bytes.byteLength;
    for (const [old, length] of this.fetched) {
      if (this.fetchedBytes <= KEPT_BYTES) break;
      this.fetched.delete(old);
      this.parts.delete(old);
      this.fetchedBytes -= length;
    }
  }

  close() {
    clearTimeout(this.resting);
    this.toDecode = [];
    this.model.off("msg:custom", this.hears);
  }
}

function bytesOf(view) {
  return new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
}

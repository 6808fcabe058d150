// Drawing on canvas: sheets that fit their element, marks with a halo that keeps them visible on any picture, colour maps.

const HALO = "rgba(255,255,255,.85)";
const EDGE = "rgba(0,0,0,.75)";
const DASHES = { flow: [], cosine: [6, 4], cosine_spatial: [2, 3], other: [8, 3, 2, 3], lines: [] };
const CORNERS = { diamond: [[0, -1.35], [1.35, 0], [0, 1.35], [-1.35, 0]], triangle: [[0, -1.2], [1.15, 0.95], [-1.15, 0.95]] }; // prettier-ignore
const SHAPES = { flow: "circle", cosine: "square", cosine_spatial: "triangle", truth: "diamond", other: "triangle" };

// An element: h("button.zvr-chip", { onclick, "aria-pressed": true }, "words", …).
function h(kind, about = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(about)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

// Changes text only where it differs: the screen reader and the layout are left in peace.
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A canvas with a `note` over it for what cannot be drawn.
class Sheet {
  constructor(label) {
    this.canvas = h("canvas", { role: "img", "aria-label": label });
    this.note = h("p.zvr-note", { hidden: "" });
    this.el = h("div.zvr-sheet", {}, this.canvas, this.note);
  }

  // A cleared context in CSS pixels.
  fit(width, height) {
    const dense = Math.min(window.devicePixelRatio || 1, 2);
    const [w, h] = [Math.max(1, Math.round(width * dense)), Math.max(1, Math.round(height * dense))];
    const { canvas } = this;
    if (canvas.width !== w || canvas.height !== h) {
      [canvas.width, canvas.height] = [w, h];
      [canvas.style.width, canvas.style.height] = [`${width}px`, `${height}px`];
    }
    const context = canvas.getContext("2d");
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }

  say(text) {
    this.note.hidden = !text;
    write(this.note, text);
  }
}

// Lines [x0, y0, x1, y1] over a picture, all in one go.
function strokes(context, lines, colour, dash = [], width = 1.5, halo = HALO) {
  if (!lines.length) return;
  context.beginPath();
  for (const [x0, y0, x1, y1] of lines) context.moveTo(x0, y0), context.lineTo(x1, y1);
  if (halo) {
    context.setLineDash([]);
    [context.lineWidth, context.strokeStyle] = [width + 1.75, halo];
    context.stroke();
  }
  context.setLineDash(dash);
  [context.lineWidth, context.strokeStyle] = [width, colour];
  context.stroke();
  context.setLineDash([]);
}

// Markers of one kind at places [x, y], all in one go.
function markers(context, shape, places, size, colour, edge = HALO, wide = 1.25) {
  if (!places.length) return;
  context.beginPath();
  for (const [x, y] of places) {
    if (shape === "circle") context.moveTo(x + size, y), context.arc(x, y, size, 0, 7);
    else if (shape === "square") context.rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8);
    else {
      CORNERS[shape].forEach(([dx, dy], i) => context[i ? "lineTo" : "moveTo"](x + dx * size, y + dy * size));
      context.closePath();
    }
  }
  context.fillStyle = colour;
  context.fill();
  [context.lineWidth, context.strokeStyle] = [wide, edge];
  context.stroke();
}

// The marks of the legend, as the pictures draw them.
function glyph(name, colour) {
  const canvas = h("canvas.zvr-glyph", { width: 52, height: 24, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  if (DASHES[name]) strokes(context, [[1, 6, 25, 6]], colour, DASHES[name], 1.75, colour === "#000" ? HALO : null);
  if (name === "path") markers(context, "circle", [[5, 8], [12, 5], [20, 7]], 2, colour); // prettier-ignore
  else if (SHAPES[name]) markers(context, SHAPES[name], [[13, 6]], 4, colour, name === "truth" ? EDGE : HALO);
  return canvas;
}

// 256 colours [r, g, b] between equally spaced anchors.
function colourTable(anchors) {
  const stops = anchors.map((text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16)));
  return Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    return stops[low].map((value, c) => Math.round(value + (place - low) * (stops[low + 1][c] - value)));
  });
}

// What paints numbers from 0 to `most`: 256 pixels, from `at(share)` = [r, g, b, alpha in 0 … 1].
function paint(most, at) {
  const pixels = new Uint32Array(256);
  const bytes = new Uint8ClampedArray(pixels.buffer);
  for (let i = 0; i < 256; i++) {
    const [r, g, b, alpha] = at(i / 255);
    bytes.set([r, g, b, 255 * alpha], 4 * i);
  }
  return { most, pixels };
}

const scratch = new Map(); // one canvas for each grid, drawn from at once

// Values of tokens as a small picture, one pixel each; clear where a value is missing.
function tokenPicture(values, [rows, columns], { most, pixels }) {
  const size = `${rows} ${columns}`;
  if (!scratch.has(size)) {
    const canvas = h("canvas", { width: columns, height: rows });
    const image = new ImageData(columns, rows);
    scratch.set(size, { canvas, context: canvas.getContext("2d"), image, whole: new Uint32Array(image.data.buffer) });
  }
  const { canvas, context, image, whole } = scratch.get(size);
  for (let i = 0; i < whole.length; i++) {
    const value = values[i];
    whole[i] = value === value ? pixels[Math.max(0, Math.min(255, Math.round((255 * value) / most)))] : 0;
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

// The middle of a token in a picture of `size` pixels shown in `box`.
function centre(token, site, [height, width], box) {
  const columns = site.grid[1];
  const x = Math.min((token % columns) * site.cell + site.cell / 2, width - 0.5);
  const y = Math.min(Math.floor(token / columns) * site.cell + site.cell / 2, height - 0.5);
  return [box.x + (x / width) * box.width, box.y + (y / height) * box.height];
}

// The token of a place in the box, or -1.
function tokenAt(x, y, site, [height, width], box) {
  const [u, v] = [(x - box.x) / box.width, (y - box.y) / box.height];
  if (u < 0 || v < 0 || u >= 1 || v >= 1) return -1;
  const [rows, columns] = site.grid;
  return Math.min(Math.floor((v * height) / site.cell), rows - 1) * columns + Math.min(Math.floor((u * width) / site.cell), columns - 1);
}

// Tokens may stick out of the picture: the whole grid is drawn, and cut off at the box.
function drawTokens(context, picture, site, [height, width], box) {
  context.save();
  context.beginPath();
  context.rect(box.x, box.y, box.width, box.height);
  context.clip();
  context.imageSmoothingEnabled = false;
  const [rows, columns] = site.grid;
  context.drawImage(picture, box.x, box.y, (columns * site.cell * box.width) / width, (rows * site.cell * box.height) / height);
  context.restore();
}

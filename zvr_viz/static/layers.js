// Maps over the source frame: what number each has, what it means in words, and how it is coloured.
// One fixed scale each, over all steps and runs: the same colour is always the same value.

const LAYERS = {
  none: { words: "none" },
  apart: {
    words: "disagreement", legend: "how far the two targets lie apart, in tokens",
    map: "magma", of: ({ apart }) => apart, most: (site) => site.most, clear: true,
  },
  wrong: {
    words: "error of the features", legend: "how far the match by features lies from the true place, in tokens",
    map: "magma", of: ({ wrong }) => wrong(), most: (site) => site.most, clear: true, needs: "truth",
  },
  confidence: {
    words: "confidence of the flow", legend: "1 where the flow there and back returns to its start",
    map: "viridis", of: ({ flow }) => flow.error.map((error) => Math.exp(-error)), most: () => 1,
  },
  score: { words: "cosine", legend: "cosine of the token and its match", map: "viridis", of: ({ score }) => score(), most: () => 1 },
  margin: {
    words: "margin", legend: "how much better the best cosine is than the next one elsewhere",
    map: "viridis", of: ({ margin }) => margin(), most: () => 0.2,
  },
  merged: {
    words: "merged tokens", legend: "tokens that receive another token's output",
    map: "viridis", of: ({ matches }) => Float32Array.from(matches.merged), most: () => 1, clear: true,
  },
  offset: {
    words: "provider", legend: "how many frames away the provider of a token's output is",
    map: "viridis", of: ({ matches }) => Float32Array.from(matches.offset, Math.abs), most: () => 8, clear: true,
  },
}; // prettier-ignore

// What paints a layer at a site; `clear` maps let the picture through where there is nothing to see.
function layerPaint(layer, most, tables) {
  const table = tables[layer.map];
  return paint(most, (share) => {
    const colour = table[Math.round(255 * (layer.clear ? 0.35 + 0.65 * share : share))];
    return [...colour, layer.clear ? 0.6 * Math.sqrt(share) : 0.7];
  });
}

// The colours of a scale as a small picture, drawn over mid grey as they would be over a photograph.
function colourBar(layer, tables) {
  const canvas = h("canvas.zvr-bar", { width: 128, height: 1, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  context.fillStyle = "#777";
  context.fillRect(0, 0, 128, 1);
  context.drawImage(tokenPicture(Float32Array.from({ length: 128 }, (_, i) => i), [1, 128], layerPaint(layer, 127, tables)), 0, 0);
  return canvas;
}

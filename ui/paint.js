// Maps of levels 0-255, in base64, side by side on a canvas: grey, or as `colour` says of a level and its index.
const grey = (level) => [level, level, level];
function paint(canvas, levels = "", { count = 1, side = 28, colour = grey } = {}) {
  const columns = Math.ceil(Math.sqrt(count));
  const step = side > 1 ? side + 1 : 1; // maps stand apart
  [canvas.width, canvas.height] = [columns, Math.ceil(count / columns)].map((n) => (n - 1) * step + side);
  const text = atob(levels).padEnd(count * side ** 2, "\0");
  const pixels = Array.from(text, (level, i) => [...colour(level.charCodeAt(), i), 255]);
  for (let i = 0; i < count; i++) {
    const map = Uint8ClampedArray.from(pixels.slice(i * side ** 2, (i + 1) * side ** 2).flat());
    const [left, top] = [(i % columns) * step, Math.floor(i / columns) * step];
    canvas.getContext("2d").putImageData(new ImageData(map, side), left, top);
  }
}


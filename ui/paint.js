// Maps of levels 0-255, in base64, on a canvas: grey, or as `colour` says of a level and its index.
const grey = (level) => [level, level, level];
function paint(canvas, levels = "", { count = 1, side = 28, height = side, colour = grey } = {}) {
  const columns = Math.ceil(Math.sqrt(count));
  const gap = side > 1 ? 1 : 0; // maps stand apart
  canvas.width = columns * (side + gap) - gap;
  canvas.height = Math.ceil(count / columns) * (height + gap) - gap;
  const text = atob(levels).padEnd(count * side * height, "\0");
  const pixels = Array.from(text, (level, i) => [...colour(level.charCodeAt(), i), 255]);
  for (let i = 0; i < count; i++) {
    const map = Uint8ClampedArray.from(pixels.slice(i * side * height, (i + 1) * side * height).flat());
    const [left, top] = [(i % columns) * (side + gap), Math.floor(i / columns) * (height + gap)];
    canvas.getContext("2d").putImageData(new ImageData(map, side), left, top);
  }
}

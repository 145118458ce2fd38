// A copy that is at most so large: of all of the source, or of an area of it, on paper of a colour.
function reduced(source, maxWidth, maxHeight, area, paper = "white") {
  const { left = 0, top = 0, width, height } = area ?? source;
  const small = document.createElement("canvas");
  const scale = Math.min(1, maxWidth / width, maxHeight / height);
  small.width = Math.max(1, Math.round(width * scale));
  small.height = Math.max(1, Math.round(height * scale));
  const context = small.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = paper;
  if (area) context.fillRect(0, 0, small.width, small.height);
  context.drawImage(source, left, top, width, height, 0, 0, small.width, small.height);
  return small;
}

function meanColour(source, area, paper) {
  return reduced(source, 1, 1, area, paper).getContext("2d").getImageData(0, 0, 1, 1).data;
}
const isDark = ([red, green, blue]) => red + green + blue < 384;

// An image as it lies in the middle of a canvas, {source, left, top, width, height, paper}, the last
// the colour around it; nothing if it cannot be decoded.
async function load(url, canvas) {
  const loaded = new Image();
  loaded.src = url;
  await loaded.decode().catch(() => {});
  if (!loaded.naturalWidth) return;
  const source = reduced(loaded, 2 * canvas.width, 2 * canvas.width); // a photograph is slow to draw
  const scale = Math.min(canvas.width / source.width, canvas.height / source.height);
  const [width, height] = [source.width * scale, source.height * scale];
  const [left, top] = [(canvas.width - width) / 2, (canvas.height - height) / 2];
  const [red, green, blue, alpha] = meanColour(source, source, "transparent");
  const dark = isDark([red, green, blue]);
  let paper = dark ? `rgb(${[red, green, blue]})` : "white"; // the pen is seen beside it, too
  if (alpha < 128) paper = dark ? "white" : "black"; // ink on a transparent canvas
  return { source, left, top, width, height, paper };
}

// Gives `put` the URL of each image that is dropped or pasted anywhere, chosen, photographed, or an example.
function takeImages(put) {
  const chosen = element.querySelector("input");
  const give = async (event, [file]) => {
    if (!file) return;
    event.preventDefault();
    const url = URL.createObjectURL(file);
    await put(url);
    URL.revokeObjectURL(url);
  };
  element.querySelector(".choose").addEventListener("click", () => chosen.click());
  chosen.addEventListener("change", (event) => {
    give(event, chosen.files);
    chosen.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => give(event, event.dataTransfer.files));
  document.addEventListener("paste", (event) => give(event, event.clipboardData.files));
  document.addEventListener("click", (event) => {
    const example = event.target.closest(".examples button");
    if (!example) return;
    put(example.firstChild.src);
    element.querySelector(".sheet").scrollIntoView({ block: "nearest" }); // on a phone the examples lie below
  });
}

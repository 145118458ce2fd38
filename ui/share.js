const MAX_LINK = 4000; // characters of the strokes in a link

// Strokes as text, for a link: a point is its halved x and y in base 36, two characters each, and a
// single one ends it, which a link that was cut lacks.
function toText(strokes, { width, height }) {
  const number = (value, most) => Math.round(Math.min(Math.max(value, 0), most) / 2).toString(36).padStart(2, "0");
  for (let step = 6; step < width; step *= 1.5) {
    const thin = (points) => {
      const kept = points.slice(0, 1);
      for (const [x, y] of points) if (Math.hypot(x - kept.at(-1)[0], y - kept.at(-1)[1]) >= step) kept.push([x, y]);
      return [...kept, points.at(-1)];
    };
    const inText = ({ points }) => thin(points).map(([x, y]) => number(x, width) + number(y, height)).join("");
    const text = strokes.map(inText).join("-") + "-e";
    if (text.length <= MAX_LINK) return text;
  }
}

// The points of each stroke; none if the text is cut or forged.
function fromText(text) {
  if (text.length > MAX_LINK || !/^([0-9a-z]{4})+(-([0-9a-z]{4})+)*-e$/.test(text)) return [];
  const point = (four) => [four.slice(0, 2), four.slice(2)].map((digits) => 2 * parseInt(digits, 36));
  return text.slice(0, -2).split("-").map((stroke) => stroke.match(/.{4}/g).map(point));
}

// The menu; `drawn()` gives what lies on the canvas, {image, strokes}. Returns whether it is open.
function offerSharing(canvas, drawn) {
  const menu = element.querySelector("#share");
  const status = menu.querySelector("p");
  const copy = async (text, done) => {
    const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
    status.textContent = copied ? done : "Copying is not allowed here. Open this page in a tab of its own.";
  };
  const shares = {
    copy() {
      const text = props.value?.text;
      if (text) copy(text, `Copied: ${text}`);
      else status.textContent = "Nothing was read yet."; // what was copied before stays
    },
    link() {
      const text = toText(drawn().strokes, canvas);
      if (text) copy(`${location.origin}${location.pathname}#strokes=${text}`, "Copied. The link itself holds what is written.");
      else status.textContent = "This is too much for a link.";
    },
    save() {
      const area = { width: canvas.width, height: 1.25 * canvas.height };
      const poster = reduced(canvas, area.width, area.height, area);
      const context = poster.getContext("2d");
      const baseline = 1.17 * canvas.height;
      context.fillStyle = "#4f46e5";
      context.font = "700 80px system-ui, sans-serif";
      context.fillText(props.value?.text?.replaceAll("\n", "  ") ?? "", 40, baseline, 480);
      context.fillStyle = "#374151";
      context.font = "24px system-ui, sans-serif";
      context.textAlign = "right";
      context.fillText(props.value?.said?.split("\n")[0] ?? "", canvas.width - 40, baseline, 280);
      Object.assign(document.createElement("a"), { href: poster.toDataURL(), download: "digits.png" }).click();
      status.textContent = "Saved as digits.png.";
    },
  };
  for (const [name, act] of Object.entries(shares)) menu.querySelector(`.${name}`).addEventListener("click", act);
  menu.addEventListener("beforetoggle", () => {
    status.textContent = "";
    menu.querySelector(".link").hidden = Boolean(drawn().image); // it is too much for a link
  });
  return () => menu.popover && menu.matches(":popover-open"); // older browsers have none
}

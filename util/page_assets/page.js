// Enlarges images. Each `a.zoom` belongs to the row of its nearest `[data-title]`, so that the arrow
// keys move between images as they stand on the page.
{
  const rows = [], all = [...document.querySelectorAll("a.zoom")];
  for (const link of all) {
    const owner = link.closest("[data-title]");
    if (!rows.length || !owner || rows.at(-1).owner !== owner) rows.push({ owner, links: [] });
    link.at = [rows.length - 1, rows.at(-1).links.length];
    rows.at(-1).links.push(link);
    link.onclick = event => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      show(...link.at);
    };
  }
  const make = (tag, parent, more) => parent.appendChild(Object.assign(document.createElement(tag), more));
  const viewer = make("dialog", document.body, { className: "viewer", tabIndex: -1 });
  const bar = make("div", viewer, { className: "bar" });
  const title = make("p", bar), place = make("small", bar);
  make("button", bar, { textContent: "←", title: "previous image", onclick: () => along(-1) });
  make("button", bar, { textContent: "→", title: "next image", onclick: () => along(1) });
  make("button", bar, { textContent: "✕", title: "close (Esc)", onclick: () => viewer.close() });
  const box = make("div", viewer, { className: "compare" });
  const before = make("img", box, { alt: "input" }), after = make("img", box, { className: "after" });
  const label = make("label", viewer, { textContent: "uncover the input " });
  const range = make("input", label, { type: "range", min: 0, max: 100 });
  make("small", viewer, { textContent: "Arrow keys move over the page, Esc closes." });
  let row = 0, column = 0;

  function show(newRow, newColumn) {
    [row, column] = [newRow, newColumn];
    const { owner, links } = rows[row], link = links[column], image = link.querySelector("img");
    const [width, height] = ["width", "height"].map(side =>
      +image.getAttribute(side) || image[side === "width" ? "naturalWidth" : "naturalHeight"] || 1);
    box.style.setProperty("--ratio", width / height);
    box.style.setProperty("--largest", `${Math.max(512, 3 * width)}px`);
    after.src = link.getAttribute("href");
    after.alt = image.alt;
    before.src = link.dataset.before ?? link.getAttribute("href");
    box.classList.toggle("single", !link.dataset.before);
    label.hidden = !link.dataset.before;
    title.textContent = [owner?.dataset.title, image.alt].filter(Boolean).join(" · ");
    place.textContent = `${all.indexOf(link) + 1} of ${all.length}`;
    if (!viewer.open) {
      viewer.showModal();
      viewer.focus();
    }
    for (const step of [-1, 1]) new Image().src = next(step)?.getAttribute("href") ?? "data:,";
  }

  // The image `step` places further in reading order, or undefined at the end.
  function next(step) {
    return rows[row].links[column + step] ?? rows[row + step]?.links.at(step > 0 ? 0 : -1);
  }

  function along(step) {
    const link = next(step);
    if (link) show(...link.at);
  }

  // The nearest image of the next line above or below, of which a line may hold several rows.
  function across(step) {
    const place = link => link.getBoundingClientRect(), from = place(rows[row].links[column]);
    const ways = all.map(link => ({ link, down: (place(link).top - from.top) * step,
      aside: Math.abs(place(link).left - from.left) })).filter(way => way.down > from.height / 2);
    const line = Math.min(...ways.map(way => way.down)) + from.height / 2;
    const nearest = ways.filter(way => way.down < line).sort((a, b) => a.aside - b.aside)[0];
    if (nearest) show(...nearest.link.at);
  }

  compareSlider(box, range);
  viewer.onclick = event => { if (event.target === viewer) viewer.close(); };
  viewer.onclose = () => rows[row].links[column].scrollIntoView({ block: "nearest" });
  viewer.onkeydown = event => {
    const steps = { ArrowLeft: () => along(-1), ArrowRight: () => along(1),
      ArrowUp: () => across(-1), ArrowDown: () => across(1) };
    if (!steps[event.key] || event.target === range) return;
    event.preventDefault();
    steps[event.key]();
  };

  // A page of a training that goes on is read again, but not while an image is enlarged.
  const seconds = +document.body.dataset.refresh;
  if (seconds) setInterval(() => { if (!viewer.open) location.reload(); }, 1000 * seconds);
}

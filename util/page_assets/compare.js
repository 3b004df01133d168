// Lets `range` (0 to 100), and dragging over `box`, uncover the image below `.after`.
function compareSlider(box, range) {
  const cut = percent => {
    const value = Math.max(0, Math.min(100, percent));
    range.value = value;
    box.style.setProperty("--cut", `${value}%`);
  };
  const drag = event => {
    const edge = box.getBoundingClientRect();
    cut(100 * (event.clientX - edge.left) / edge.width);
  };
  range.oninput = () => cut(+range.value);
  box.onpointerdown = event => { box.setPointerCapture(event.pointerId); drag(event); };
  box.onpointermove = event => { if (event.buttons) drag(event); };
  box.ondragstart = event => event.preventDefault();
  cut(0);
}

// Tables of slices can be sorted: each head becomes a button. Without scripts the tables are as they were printed.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const value = (row, i) => {
    const cell = row.cells[i];
    return cell.dataset.value === undefined ? cell.textContent.trim() : parseFloat(cell.dataset.value);
  };
  const order = (a, b, sign) => { // what has no figure stands last both ways
    if (typeof a === "string") return sign * a.localeCompare(b, "en", {numeric: true});
    return Number.isNaN(a) - Number.isNaN(b) || sign * (a - b);
  };
  [...table.tHead.rows[0].cells].forEach((head, i) => {
    if (i && body.rows[0].cells[i].dataset.value === undefined) return;
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
      for (const other of table.tHead.rows[0].cells) if (other.ariaSort) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      body.append(...[...body.rows].sort((a, b) => order(value(a, i), value(b, i), sign)));
    });
  });
}

// A curve gets a slider that reads both models at the same number of flagged rows.
for (const figure of document.querySelectorAll("figure.curve")) {
  const [places, steps] = [figure.dataset.places, figure.dataset.steps].map(text => JSON.parse(text));
  const slider = document.createElement("input");
  Object.assign(slider, {type: "range", min: 0, max: steps.length - 1, step: 1, value: figure.dataset.start});
  slider.setAttribute("aria-label", "rows that may be flagged");
  const show = () => {
    const cross = figure.querySelector(".cross");
    cross.style.cssText = `display: block; left: ${places[slider.value]}%`;
    slider.setAttribute("aria-valuetext", `${steps[slider.value]} rows`);
    for (const output of figure.querySelectorAll("output")) {
      output.textContent = `at ${steps[slider.value]}: ${JSON.parse(output.dataset.steps)[slider.value]}`;
    }
  };
  slider.addEventListener("input", show);
  figure.querySelector(".feet").before(slider);
  show();
}

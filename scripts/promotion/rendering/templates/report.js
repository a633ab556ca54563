// Tables of slices can be sorted: each head becomes a button. Without scripts the tables are as they were printed.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const value = (row, i) => {
    const cell = row.cells[i];
    return cell.dataset.value === undefined ? cell.textContent.trim() : parseFloat(cell.dataset.value);
  };
  const order = (a, b) => {
    if (typeof a === "string") return a.localeCompare(b, "en", {numeric: true});
    return Number.isNaN(a) - Number.isNaN(b) || a - b;
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
      body.append(...[...body.rows].sort((a, b) => sign * order(value(a, i), value(b, i))));
    });
  });
}

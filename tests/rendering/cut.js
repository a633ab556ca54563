// Returns what a reader cannot see whole: text that is not shown or outside its cell or card, an element that hides
// part of itself, a page that is wider than its window. A log or a command in `pre` may be scrolled.
const cut = [], wide = document.documentElement.clientWidth;
const report = (what, element, text) => {
  cut.push(`${what}: ${element.tagName} ${[...(text || element.textContent).trim()].slice(0, 60).join("")}`);
};
if (document.documentElement.scrollWidth > wide) cut.push(`the page is ${document.documentElement.scrollWidth} wide`);
const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
for (let node; node = walker.nextNode();) {
  const element = node.parentElement;
  if (!node.textContent.trim() || element.closest(".sr, script") || !element.checkVisibility()) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  const box = range.getBoundingClientRect();
  if (!box.width || !box.height) report("not shown", element, node.textContent);
  for (let holder = element; holder && !element.closest("pre"); holder = holder.parentElement) {
    if (!["TD", "TH", "SECTION", "LI", "DD"].includes(holder.tagName)) continue;
    const frame = holder.getBoundingClientRect();
    const outside = box.left < frame.left - 1 || box.right > frame.right + 1;
    if (outside) report(`outside its ${holder.tagName}`, element, node.textContent);
  }
}
for (const cell of document.querySelectorAll("td[data-value]")) {
  const range = document.createRange();
  range.selectNodeContents(cell);
  const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
  if (!cell.querySelector(".long") && lines.size > 1) report("a figure on two lines", cell);
}
for (const element of document.querySelectorAll("main *")) {
  if (element.closest("pre, .sr, svg") || getComputedStyle(element).overflowX === "visible") continue;
  if (element.scrollWidth > element.clientWidth + 1) report("scrolls or is clipped", element);
}
return cut;

"use strict";

/* Theme: applied before the first paint. Storage may be closed to a page from a file. */
const storedTheme = (value) => {
  try {
    if (value) localStorage.setItem("talkbench-theme", value);
    return localStorage.getItem("talkbench-theme");
  } catch {
    return null;
  }
};
if (storedTheme()) document.documentElement.dataset.theme = storedTheme();

/* Tables find their widths as their rows come in: they are shown once they are whole, so that nothing moves under the eye. */
document.documentElement.classList.add("parsing");

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  storedTheme(root.dataset.theme);
}

/* Sorting moves whole methods within their group; rows without a number come last either way. */
function compareKeys(a, b, descending) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const [x, y] = [Number(a), Number(b)];
  const order = Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x === y ? 0 : x - y;
  return descending ? -order : order;
}

function sortTable(button) {
  const head = button.closest("th");
  const table = head.closest("table");
  const column = head.cellIndex;
  const first = button.dataset.down === "true" ? "descending" : "ascending";
  const other = first === "descending" ? "ascending" : "descending";
  const direction = head.ariaSort === first ? other : first;
  for (const th of table.querySelectorAll("th[aria-sort]")) th.ariaSort = "none";
  head.ariaSort = direction;
  const key = (body) => (body.rows[0].cells[column]?.dataset.key ?? "").replace(/^inf$/, "Infinity");
  for (const name of ["trained", "reference"]) {
    const bodies = [...table.querySelectorAll(`tbody.${name}`)];
    if (!bodies.length) continue;
    const next = bodies.at(-1).nextSibling;
    bodies.sort((a, b) => compareKeys(key(a), key(b), direction === "descending"));
    for (const body of bodies) table.insertBefore(body, next);
  }
}

function expandRows(button) {
  const open = button.ariaExpanded !== "true";
  button.ariaExpanded = String(open);
  for (const row of button.closest("tbody").querySelectorAll("tr.cell")) row.hidden = !open;
}

/* Filtering: a method stays if its name holds one of the words. It goes from tables and plots alike. */
function filterMethods(form) {
  const words = form.elements.words.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
  const references = form.elements.references?.checked ?? true;
  const kept = (part) =>
    (references || part.dataset.group !== "reference") &&
    (!words.length || words.some((word) => part.dataset.name.toLowerCase().includes(word)));
  for (const part of document.querySelectorAll("[data-name]")) part.toggleAttribute("hidden", !kept(part));
  for (const divider of document.querySelectorAll("tbody.divider")) divider.hidden = !references;
  const all = [...document.querySelector("table.summary").querySelectorAll("[data-name]")];
  form.querySelector("output").textContent = `${all.filter(kept).length} of ${all.length}`;
}

document.addEventListener("DOMContentLoaded", () => {
  document.documentElement.classList.remove("parsing");
  document.getElementById("theme").addEventListener("click", toggleTheme);
  for (const button of document.querySelectorAll(".sort")) button.addEventListener("click", () => sortTable(button));
  for (const button of document.querySelectorAll("button.expand")) button.addEventListener("click", () => expandRows(button));
  for (const form of document.querySelectorAll("form.filter")) {
    form.addEventListener("input", () => filterMethods(form));
    form.addEventListener("submit", (event) => event.preventDefault());
  }
});

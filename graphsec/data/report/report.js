// Everything is readable without this: it only hides rows that do not match, and opens all evidence for the printer.
"use strict";
for (const filter of document.querySelectorAll(".filter")) {
  const scope = document.getElementById(filter.dataset.of);
  const rows = [...scope.querySelectorAll("tbody tr, .path")].map((row) => {
    const head = row.closest(".card")?.querySelector(".head")?.textContent ?? "";
    return { row, text: `${head} ${row.textContent}`.toLowerCase() };
  });
  const said = filter.querySelector("output");
  const apply = () => {
    const words = filter.querySelector("input[type=search]").value.toLowerCase().split(/\s+/).filter(Boolean);
    const states = new Set([...filter.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.value));
    const chosen = filter.querySelector("input[type=checkbox]") !== null;
    let shown = 0;
    for (const { row, text } of rows) {
      const fits = words.every((word) => text.includes(word)) && (!chosen || states.has(row.dataset.state));
      row.hidden = !fits;
      shown += fits;
    }
    for (const card of scope.querySelectorAll(".card")) {
      card.hidden = [...card.querySelectorAll("tbody tr")].every((row) => row.hidden);
    }
    said.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  };
  filter.hidden = false;
  filter.addEventListener("input", apply);
  apply();
}
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

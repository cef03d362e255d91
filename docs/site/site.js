/* The scoreboard's table: sorted by a click on a heading, filtered by world and by model. */
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  for (const board of document.querySelectorAll(".board")) makeBoard(board);
});

function makeBoard(board) {
  const table = board.querySelector("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const worlds = [...new Set(rows.map((row) => row.cells[0].textContent))];

  const world = document.createElement("select");
  for (const name of ["all", ...worlds]) world.append(new Option(name, name));
  const model = document.createElement("input");
  model.type = "search";
  const note = document.createElement("p");
  note.setAttribute("aria-live", "polite");
  const tools = document.createElement("div");
  tools.className = "board-tools";
  for (const [words, field] of [["World", world], ["Model's name holds", model]]) {
    const label = document.createElement("label");
    label.append(words, field);
    tools.append(label);
  }
  board.before(tools);
  board.after(note);
  board.tabIndex = 0; // it scrolls sideways on a phone
  board.setAttribute("role", "region");
  board.setAttribute("aria-label", "Scoreboard");

  function filter() {
    let shown = 0;
    for (const row of rows) {
      const [where, name] = [row.cells[0].textContent, row.cells[1].textContent.toLowerCase()];
      row.hidden = (world.value !== "all" && where !== world.value) || !name.includes(model.value.toLowerCase());
      shown += !row.hidden;
    }
    note.textContent = `${shown} rows shown. ${board.dataset.note}`;
  }

  function sort(column, heading) {
    const descending = heading.getAttribute("aria-sort") !== "descending" && column > 1;
    const again = heading.getAttribute("aria-sort") === "ascending";
    const sign = descending || again ? -1 : 1;
    const key = (row) => {
      const cell = row.cells[column];
      return column < 2 ? cell.textContent : Number(cell.dataset.value ?? NaN);
    };
    rows.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (column < 2) return sign * x.localeCompare(y);
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y); // gaps last
      return sign * (x - y);
    });
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
    body.append(...rows);
  }

  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    button.addEventListener("click", () => sort(column, heading));
    heading.replaceChildren(button);
  });
  world.addEventListener("change", filter);
  model.addEventListener("input", filter);
  world.value = worlds.includes("pendulum-noisy") ? "pendulum-noisy" : "all";
  filter();
}

/* The playground: what the model imagines beside the truth, and a graph that says what followed.
 *
 * Every element of class "playground" becomes one. Until its model has arrived, and where there
 * is no JavaScript, the still picture inside it stays. `questions.js` answers; this is the page.
 */
"use strict";

(function (home) {
  const SWEEP = 5000; // milliseconds of one sweep there and back
  const { DRAWS, Questions, normals } = home.questions;
  const STATES = {
    set: { sign: "●", word: "set" },
    seen: { sign: "◉", word: "seen" },
    followed: { sign: "↓", word: "followed" },
    anew: { sign: "↻", word: "drawn anew" },
    stayed: { sign: "=", word: "stayed" },
    other: { sign: "≈", word: "of such a scene" },
  };
  const MODES = {
    see: {
      title: "Seeing",
      says: "What do scenes look like in which something happens to be so? Nothing is set: " +
        `we look through ${DRAWS.toLocaleString("en")} scenes for one that fits.`,
    },
    do: {
      title: "Doing",
      says: "What happens if something is set now? What follows from it gets fresh noise; " +
        "the rest of the scene stays as it was.",
    },
    imagine: {
      title: "Imagining",
      says: "What would this very picture have shown, had something been otherwise? " +
        "The noise that the model read off the picture is kept.",
    },
  };

  const clamp = (x, [low, high]) => Math.min(Math.max(x, low), high);
  const words = (name) => name.replaceAll("_", " ");
  const minus = (text) => text.replace("-", "−");

  /** An element: create("button", {class: "…", text: "…", on: {click}}, children) */
  function create(tag, { text, on = {}, ...attributes } = {}, children = []) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    for (const [event, handler] of Object.entries(on)) element.addEventListener(event, handler);
    if (text !== undefined) element.textContent = text;
    element.append(...children);
    return element;
  }

  /** Show a "chw" picture on a canvas of its size. */
  function show(canvas, picture) {
    const { width, height } = canvas;
    const image = new ImageData(width, height);
    for (let p = 0; p < width * height; p++) {
      for (let c = 0; c < 3; c++) image.data[4 * p + c] = Math.round(255 * picture[c * width * height + p]);
      image.data[4 * p + 3] = 255;
    }
    canvas.getContext("2d", { willReadFrequently: true }).putImageData(image, 0, 0);
  }

  // ---------------------------------------------------------------------- the page

  class Playground {
    constructor(root, names, load) {
      Object.assign(this, { root, names, load, questions: {}, mode: "imagine", painted: 0 });
      this.id = `playground-${document.querySelectorAll(".pg-panel").length}`;
      this.panel = create("div", { class: "pg-panel" });
      root.append(this.panel);
    }

    async open(name) {
      this.stop();
      const data = await this.load(name);
      this.questions[name] ??= new Questions(data);
      Object.assign(this, { now: this.questions[name], data, scene: 0 });
      this.reset();
      this.build();
      this.paint();
    }

    reset() {
      Object.assign(this, { set: {}, day: 0, random: normals(99) });
      this.draws = this.random.four();
    }

    // What is on the page, in reading order.

    build() {
      const title = create("h3", { class: "pg-hidden", text: "Playground" });
      this.litArrows = "";
      this.says = create("p", { class: "pg-says" });
      this.live = create("p", { class: "pg-live", "aria-live": "polite" });
      this.panel.replaceChildren(title, this.questionsBar(), this.says, this.pictures(), this.graph(), this.live);
      this.drawArrows();
    }

    questionsBar() {
      const modes = Object.entries(MODES).map(([mode, { title }]) => {
        const input = create("input", {
          type: "radio", name: `${this.id}-mode`, value: mode,
          on: { change: () => this.change(() => { this.mode = mode; }) },
        });
        input.checked = mode === this.mode;
        return create("label", { class: "pg-mode" }, [input, create("span", { text: title })]);
      });
      const worlds = this.names.map((name) => create("option", { value: name, text: home.titles[name] }));
      const select = create("select", { on: { change: () => this.open(select.value) } }, worlds);
      select.value = this.data.name;
      const legend = create("legend", { class: "pg-hidden", text: "What is asked" });
      return create("div", { class: "pg-bar" }, [
        create("fieldset", { class: "pg-modes" }, [legend, ...modes]),
        create("label", { class: "pg-world" }, [create("span", { text: "World " }), select]),
      ]);
    }

    pictures() {
      const canvas = (label) => create("canvas", { width: 64, height: 64, role: "img", "aria-label": label });
      this.canvas = { model: canvas("The model's picture"), truth: canvas("The true picture") };
      this.handles = this.now.world.handles.map(() => create("span", { class: "pg-handle", "aria-hidden": "true" }));
      const held = create("div", { class: "pg-held" }, [this.canvas.model, ...this.handles]);
      this.drag(held);
      this.captions = { model: create("figcaption"), truth: create("figcaption", { text: "the truth" }) };
      this.thumbs = this.data.scenes.map((scene, k) => {
        const small = canvas("");
        small.setAttribute("aria-hidden", "true");
        show(small, this.now.world.render(scene.factors));
        const choose = () => this.change(() => { this.scene = k; this.set = {}; });
        return create("button", { type: "button", class: "pg-thumb", on: { click: choose } }, [
          small, create("span", { text: `no. ${k + 1}` }),
        ]);
      });
      const button = (text, click) => create("button", { type: "button", class: "pg-button", text, on: { click } });
      this.player = button("Play", () => (this.playing ? this.stop() : this.play()));
      this.again = button("Draw again", () => this.change(() => { this.draws = this.random.four(); this.day += 1; }));
      this.back = button("Put back", () => this.change(() => { this.set = {}; }));
      this.thumbRow = create("div", { class: "pg-thumbs", role: "group", "aria-label": "The picture that was seen" }, [
        create("span", { text: "picture seen:" }), ...this.thumbs,
      ]);
      return create("div", { class: "pg-pictures" }, [
        create("figure", {}, [held, this.captions.model]),
        create("figure", {}, [create("div", { class: "pg-held pg-true" }, [this.canvas.truth]), this.captions.truth]),
        this.thumbRow,
        create("div", { class: "pg-buttons" }, [this.player, this.again, this.back]),
      ]);
    }

    graph() {
      const { nodes, ranges } = this.data;
      this.boxes = nodes.map((name, i) => {
        const id = `${this.id}-${name}`;
        const [low, high] = ranges[i];
        const slider = create("input", {
          type: "range", id, min: low, max: high, step: (high - low) / 200,
          on: { input: () => this.change(() => { this.set[i] = +slider.value; }) },
        });
        const parts = {
          slider,
          state: create("span", { class: "pg-state" }),
          values: create("span", { class: "pg-values" }),
          noise: create("span", { class: "pg-noise" }),
          free: create("button", {
            type: "button", class: "pg-free", text: "let go", "aria-label": `let go of ${words(name)}`,
            on: { click: () => this.change(() => { delete this.set[i]; }) },
          }),
        };
        const label = create("label", { for: id, text: words(name) });
        const line = create("div", { class: "pg-line" }, [parts.state, parts.free]);
        parts.box = create("div", { class: "pg-node" }, [label, slider, line, parts.values, parts.noise]);
        return parts;
      });
      // Causes above, effects below: the worlds here have two of either in the order of the grid.
      const order = this.data.world === "Water" ? [0, 2, 1, 3] : [0, 1, 2, 3];
      this.arrows = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      this.arrows.setAttribute("aria-hidden", "true");
      this.net = create("div", { class: "pg-graph", role: "group", "aria-label": `Causal graph: ${this.edges()}` },
        [this.arrows, ...order.map((i) => this.boxes[i].box)]);
      new ResizeObserver(() => this.drawArrows()).observe(this.net);
      return this.net;
    }

    edges() {
      const { nodes, parents } = this.data;
      const pairs = nodes.flatMap((effect, i) => parents[i].map((j) => `${words(nodes[j])} causes ${words(effect)}`));
      return pairs.join(", ");
    }

    /** Lines between the boxes, from border to border. */
    drawArrows() {
      const frame = this.net.getBoundingClientRect();
      if (!frame.width) return; // not on the page yet
      const places = this.boxes.map(({ box }) => {
        const r = box.getBoundingClientRect();
        return { x: r.x - frame.x + r.width / 2, y: r.y - frame.y + r.height / 2, w: r.width / 2, h: r.height / 2 };
      });
      const edge = (a, b) => { // where the way from a to b leaves the box a
        const [dx, dy] = [b.x - a.x, b.y - a.y];
        const share = 1 / Math.max(Math.abs(dx) / (a.w + 3), Math.abs(dy) / (a.h + 3));
        return [a.x + dx * share, a.y + dy * share];
      };
      const lines = this.data.parents.flatMap((causes, i) => causes.map((j) => {
        const [[x1, y1], [x2, y2]] = [edge(places[j], places[i]), edge(places[i], places[j])];
        const lit = this.lit?.has(j) && this.lit.has(i) && !(i in this.set) && this.mode !== "see";
        return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" class="${lit ? "pg-lit" : ""}"
          marker-end="url(#${this.id}-${lit ? "lit" : "head"})"/>`;
      }));
      const head = (name, size) => `<marker id="${this.id}-${name}" class="pg-${name}" viewBox="0 0 8 8" refX="7"
        refY="4" markerWidth="${size}" markerHeight="${size}" orient="auto"><path d="M0 0 8 4 0 8z"/></marker>`;
      this.arrows.innerHTML = `<defs>${head("head", 7)}${head("lit", 3.5)}</defs>${lines.join("")}`;
    }

    // What changes.

    change(how) {
      this.stop();
      how();
      this.request();
    }

    request() {
      this.waiting ||= requestAnimationFrame(() => { this.waiting = 0; this.paint(); });
    }

    paint() {
      const { data, now, set, mode } = this;
      const scene = data.scenes[this.scene];
      const answer = now.ask(mode, scene, set, this.draws, this.day);
      this.answer = answer;
      for (const [which, draw] of [["model", (f) => now.model.draw(f)], ["truth", (f) => now.world.render(f)]]) {
        show(this.canvas[which], answer[which] ? draw(answer[which]) : new Float32Array(3 * 64 * 64).fill(0.5));
      }
      this.lit = now.world.affected(Object.keys(set).map(Number));
      this.paintNodes(answer);
      this.paintWords(answer);
      this.placeHandles(answer.model ?? scene.factors);
      const lit = JSON.stringify([[...this.lit], Object.keys(set), mode]);
      if (lit !== this.litArrows) this.drawArrows(); // measuring the page takes a millisecond
      this.litArrows = lit;
      this.painted += 1;
    }

    value(i, v) {
      const unit = this.data.units[i];
      return v === undefined ? "none" : minus(v.toFixed(1)) + (unit === "°" ? "°" : "");
    }

    spoken(i, v) {
      return `${v.toFixed(1)} ${this.data.units[i] === "°" ? "degrees" : this.data.units[i]}`;
    }

    paintNodes({ model, truth, noise, states, means }) {
      this.boxes.forEach((parts, i) => {
        const { sign, word } = STATES[states[i]];
        const own = this.set[i] ?? model?.[i];
        parts.box.dataset.state = states[i];
        parts.state.textContent = `${sign} ${word}`;
        parts.free.hidden = !(i in this.set);
        if (own !== undefined && +parts.slider.value !== own) parts.slider.value = own;
        parts.slider.setAttribute("aria-valuetext", `${own === undefined ? "unknown" : this.spoken(i, own)}, ${word}`);
        const [a, b] = means ?? [model, truth];
        parts.values.textContent = `${means ? "mean: " : ""}model ${this.value(i, a?.[i])}, truth ${this.value(i, b?.[i])}`;
        const fate = states[i] === "set" ? "not used" : { anew: "drawn anew" }[states[i]] ?? (means ? "of that scene" : "kept");
        parts.noise.textContent = noise ? `noise ε ${minus(noise[i].toFixed(2))}, ${fate}` : "no such scene";
      });
    }

    paintWords({ model, truth, found }) {
      const seeing = this.mode === "see";
      this.says.textContent = MODES[this.mode].says;
      const caption = { imagine: "the model imagines", do: "the model foresees", see: "the model dreams" };
      this.captions.model.textContent = caption[this.mode] + (found ? ` (${found[0]} fit)` : "");
      this.captions.truth.textContent = seeing ? `the world shows (${found[1]} fit)` : "the truth";
      this.again.hidden = this.mode === "imagine";
      this.back.disabled = !Object.keys(this.set).length;
      this.thumbRow.hidden = seeing;
      this.thumbs.forEach((thumb, k) => thumb.setAttribute("aria-pressed", String(k === this.scene)));
      this.player.textContent = this.playing ? "Pause" : "Play";
      clearTimeout(this.pause);
      if (!this.playing) this.pause = setTimeout(() => { this.live.textContent = this.summary(model, truth); }, 400);
    }

    summary(model, truth) {
      const { nodes } = this.data;
      if (!model || !truth) return "No scene like that is among the draws: it hardly ever happens.";
      const given = Object.entries(this.set).map(([i, v]) => `${words(nodes[i])} ${this.spoken(i, v)}`);
      if (!given.length) return "Nothing is set. Drag the picture's rings or move a slider.";
      const [a, b] = this.answer.means ?? [model, truth];
      const follows = nodes.flatMap((name, i) => (["followed", "anew", "other"].includes(this.answer.states[i])
        ? [`${words(name)} ${this.spoken(i, a[i])} by the model, ${this.spoken(i, b[i])} in truth`] : []));
      const average = this.answer.means ? "on average " : "";
      return `With ${given.join(" and ")}: ${average}${follows.join("; ") || "nothing else follows"}.`;
    }

    // Holding the scene.

    placeHandles(factors) {
      const { left, right, bottom, top } = this.now.world.frame;
      this.now.world.handles.forEach(({ at }, i) => {
        const [x, y] = at(factors);
        this.handles[i].style.left = `${clamp((100 * (x - left)) / (right - left), [3, 97])}%`;
        this.handles[i].style.top = `${clamp((100 * (top - y)) / (top - bottom), [4, 95])}%`;
        this.handles[i].hidden = this.mode === "see" && !this.answer.model;
      });
    }

    drag(held) {
      const { left, right, bottom, top } = this.now.world.frame;
      const place = (event) => {
        const r = held.getBoundingClientRect();
        const [across, down] = [(event.clientX - r.x) / r.width, (event.clientY - r.y) / r.height];
        return [left + across * (right - left), top - down * (top - bottom)];
      };
      let grabbed = null;
      const move = (event) => {
        if (grabbed === null) return;
        const [x, y] = place(event);
        const value = this.now.world.handles[grabbed].value(x, y, this.answer.model);
        this.change(() => { this.set[grabbed] = clamp(value, this.data.ranges[grabbed]); });
      };
      held.addEventListener("pointerdown", (event) => {
        if (!this.answer.model) return;
        const [x, y] = place(event);
        const far = this.now.world.handles.map(({ at }) => {
          const [hx, hy] = at(this.answer.model);
          return Math.hypot(x - hx, y - hy);
        });
        grabbed = far.indexOf(Math.min(...far));
        if (far[grabbed] > 5) { grabbed = null; return; }
        held.setPointerCapture(event.pointerId);
        event.preventDefault();
        move(event);
      });
      held.addEventListener("pointermove", move);
      for (const end of ["pointerup", "pointercancel"]) held.addEventListener(end, () => { grabbed = null; });
    }

    // Moving by itself.

    play(times = Infinity) {
      this.stop();
      const i = this.data.swept;
      const [low, high] = this.data.ranges[i];
      const from = this.set[i] ?? this.answer.model?.[i] ?? low;
      const phase = Math.acos(clamp((2 * (from - low)) / (high - low) - 1, [-1, 1]));
      let began = null;
      const step = (time) => {
        began ??= time;
        const share = (time - began) / SWEEP;
        if (share > times) return this.stop();
        this.set[i] = low + ((high - low) * (1 + Math.cos(phase + 2 * Math.PI * share))) / 2;
        this.paint();
        this.playing = requestAnimationFrame(step);
      };
      this.playing = requestAnimationFrame(step);
    }

    stop() {
      if (!this.playing) return;
      cancelAnimationFrame(this.playing);
      this.playing = 0;
      this.request();
    }
  }

  // --------------------------------------------------------------------- the start

  home.models ??= {};
  home.titles = { pendulum: "clean pendulum", "pendulum-noisy": "noisy pendulum", water: "water" };

  /** The exported model, from this page or from a script beside it. */
  function loader(base) {
    return (name) => new Promise((resolve, reject) => {
      if (home.models[name]) return resolve(home.models[name]);
      const script = create("script", { src: `${base}model-${name}.js` });
      script.onload = () => resolve(home.models[name]);
      script.onerror = () => reject(new Error(`${script.src} did not arrive`));
      document.head.append(script);
    });
  }

  async function start(root) {
    if (root.dataset.begun) return;
    root.dataset.begun = "yes";
    const names = root.dataset.models.split(" ");
    const playground = new Playground(root, names, loader(root.dataset.base ?? ""));
    await playground.open(names[0]);
    root.classList.add("pg-ready");
    playground.drawArrows();
    home.playgrounds.push(playground);
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) playground.play(1);
  }

  home.playgrounds ??= [];
  home.start = start; // a notebook's cell does
  const idle = window.requestIdleCallback ?? ((f) => setTimeout(f, 1));
  const begin = () => idle(() => document.querySelectorAll(".playground").forEach(start));
  if (document.readyState === "complete") begin();
  else window.addEventListener("load", begin); // the page first, then the weights
})((globalThis.caufvae ??= {}));

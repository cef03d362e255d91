/* The three questions, asked of a model and of its world: seeing, doing, imagining.
 *
 * No page is needed for them. `model.js` and `worlds.js` compute; `playground.js` shows.
 */
"use strict";

(function (home) {
  const DRAWS = 3000; // scenes that "seeing" filters
  const NEAR = 0.06; // of a factor's usual range: so near counts as seen

  /** Numbers that look random and are the same on every visit (mulberry32, Box and Muller). */
  function normals(seed) {
    let state = seed;
    const uniform = () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
    const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    return { uniform, normal, four: () => [normal(), normal(), normal(), normal()] };
  }

  /** One model and its world, asked in three ways. No page is needed for it. */
  class Questions {
    constructor(exported) {
      this.data = exported;
      this.model = new home.model.Model(exported);
      this.world = new home.worlds[exported.world](exported.noise);
    }

    /** → {model, truth: factors, noise, states, note}, for `set` {place: value} in one scene. */
    ask(mode, scene, set, draws, day) {
      const places = Object.keys(set).map(Number);
      const reach = this.world.affected(places);
      const state = (i, follows, rest) => (i in set ? (mode === "see" ? "seen" : "set") : reach.has(i) ? follows : rest);
      if (mode === "see") return { ...this.see(set, day), states: scene.noise.map((_, i) => state(i, "other", "other")) };
      if (mode === "imagine") {
        return {
          model: this.model.factors(scene.noise, set),
          truth: this.world.counterfactual(scene.factors, set),
          noise: scene.noise,
          states: scene.noise.map((_, i) => state(i, "followed", "stayed")),
        };
      }
      const anew = (kept, fresh) => kept.map((own, i) => (reach.has(i) ? fresh[i] : own));
      const noise = anew(scene.noise, draws);
      const residual = anew(this.world.residual(scene.factors), this.world.exogenous(draws));
      const truth = this.world.apply(scene.factors, set, residual);
      return {
        model: this.model.factors(noise, set),
        truth: scene.factors.map((own, i) => (reach.has(i) ? truth[i] : own)),
        noise,
        states: scene.noise.map((_, i) => state(i, "anew", "stayed")),
      };
    }

    /** Draws of the model and of the world, each filtered by what is seen. */
    see(set, day) {
      this.drawn ??= this.scenes();
      const fits = (factors) => Object.entries(set).every(([i, v]) => {
        const [low, high] = this.data.ranges[i];
        return Math.abs(factors[i] - v) <= NEAR * (high - low);
      });
      const of = (all) => all.filter(({ factors }) => fits(factors));
      const [model, truth] = [of(this.drawn.model), of(this.drawn.world)];
      const one = (all) => (all.length ? all[day % all.length] : null);
      return {
        model: one(model)?.factors,
        truth: one(truth)?.factors,
        noise: one(model)?.noise,
        found: [model.length, truth.length],
        means: [mean(model), mean(truth)],
      };
    }

    scenes() {
      const random = normals(7);
      const { ranges, parents } = this.data;
      const model = Array.from({ length: DRAWS }, () => random.four())
        .map((noise) => ({ noise, factors: this.model.factors(noise) }));
      const world = Array.from({ length: DRAWS }, () => {
        const roots = ranges.map(([low, high], i) => (parents[i].length ? 0 : low + (high - low) * random.uniform()));
        return { factors: this.world.apply(roots, {}, this.world.exogenous(random.four())) };
      });
      return { model, world };
    }
  }

  function mean(scenes) {
    const d = 4;
    const sums = new Array(d).fill(0);
    for (const { factors } of scenes) factors.forEach((v, i) => { sums[i] += v; });
    return scenes.length ? sums.map((s) => s / scenes.length) : null;
  }

  home.questions = { DRAWS, Questions, normals };
  if (typeof module !== "undefined") module.exports = home.questions;
})((globalThis.caufvae ??= {}));

// Reads questions from stdin, answers them with the page's own scripts, and writes JSON.
"use strict";
const fs = require("node:fs");
const path = require("node:path");

const [modelFile, sources] = process.argv.slice(2);
require(path.resolve(modelFile));
const { Model } = require(path.resolve(sources, "model.js"));
const worlds = require(path.resolve(sources, "worlds.js"));

const [exported] = Object.values(globalThis.caufvae.models);
const model = new Model(exported);
const world = new worlds[exported.world](exported.noise);
const questions = JSON.parse(fs.readFileSync(0, "utf8"));

const answers = questions.map(({ noise, factors, set }) => {
  const imagined = model.factors(noise, set);
  const truth = world.counterfactual(factors, set);
  return {
    imagined,
    picture: Array.from(model.draw(imagined)),
    truth,
    render: Array.from(world.render(truth)),
  };
});
process.stdout.write(JSON.stringify(answers));

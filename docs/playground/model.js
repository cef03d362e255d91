/* The trained flow and the trained decoder, computed in the page.
 *
 *   noise ε  ──►  causal flow  ──►  factors z  ──►  decoder  ──►  picture
 *                     ▲ do(z_i = c): overwrite z_i, recompute what follows from its own noise
 *
 * The formulas are those of caufvae_lite/flow.py, mechanisms.py and networks.py, and a test
 * compares the two. An array's layout is named by its letters: "hwc" has channels innermost.
 */
"use strict";

(function (home) {
  // ------------------------------------------------------------------ the weights

  /** A half-precision number from its 16 bits. */
  function half(bits) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }

  /** {shape, type: "f16" | "f32", data: base64, little-endian} → Float32Array */
  function readArray(stored) {
    const text = atob(stored.data);
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    if (stored.type === "f32") return new Float32Array(bytes.buffer);
    return Float32Array.from(new Uint16Array(bytes.buffer), half);
  }

  const sigmoid = (x) => 1 / (1 + Math.exp(-x));

  function siluInPlace(values) {
    for (let i = 0; i < values.length; i++) values[i] *= sigmoid(values[i]);
    return values;
  }

  // --------------------------------------------------------------------- the flow

  /** z_i = ε_i exp(s_i) + t_i, with s_i and t_i read off the parents. Standardised units. */
  class Flow {
    constructor(exported) {
      const array = (name) => readArray(exported.arrays[name]);
      const [low, high] = exported.logScale;
      const start = low < 0 && high > 0 ? -low / (high - low) : 0.5;
      this.bounded = (raw) => low + (high - low) * sigmoid(raw + Math.log(start / (1 - start)));
      this.nodes = exported.nodes;
      this.generations = exported.generations;
      this.parents = exported.parents;
      this.mechanisms = exported.nodes.map((_, i) => {
        const own = `flow.mechanisms.${i}.`;
        if (!exported.parents[i].length) {
          return { raw: array(own + "raw_scale")[0], shift: array(own + "shift")[0] };
        }
        const layers = [];
        for (let k = 0; `${own}weights.${k}` in exported.arrays; k++) {
          layers.push({ weights: array(`${own}weights.${k}`), bias: array(`${own}biases.${k}`) });
        }
        return { layers };
      });
    }

    /** [s, t] of factor i, given all factors (only its parents are read). */
    mechanism(i, factors) {
      const { layers, raw, shift } = this.mechanisms[i];
      if (!layers) return [this.bounded(raw), shift];
      let hidden = this.parents[i].map((j) => factors[j]);
      layers.forEach(({ weights, bias }, k) => {
        const next = Float64Array.from(bias);
        for (let a = 0; a < hidden.length; a++) {
          for (let b = 0; b < next.length; b++) next[b] += hidden[a] * weights[a * next.length + b];
        }
        hidden = k < layers.length - 1 ? siluInPlace(next) : next;
      });
      return [this.bounded(hidden[0]), hidden[1]];
    }

    /** Factors from noise, where `set` maps a factor's place to the value that is forced on it. */
    do(noise, set = new Map()) {
      const factors = new Array(noise.length).fill(0);
      for (const i of this.generations.flat()) {
        const [s, t] = this.mechanism(i, factors);
        factors[i] = set.has(i) ? set.get(i) : noise[i] * Math.exp(s) + t;
      }
      return factors;
    }
  }

  // ------------------------------------------------------------------ the decoder

  /** weights · x + bias for weights stored row by row, (outputs, inputs). */
  function dense(x, { weights, bias }) {
    const out = Float32Array.from(bias);
    for (let o = 0; o < out.length; o++) {
      let sum = 0;
      for (let i = 0; i < x.length; i++) sum += weights[o * x.length + i] * x[i];
      out[o] += sum;
    }
    return out;
  }

  /** A 3 × 3 convolution of a map that is first enlarged `up` times, as up × up small convolutions.
   *
   * Of the enlarged map's pixels under the kernel several are the same pixel of the map, so their
   * weights can be added beforehand: four pixels are left of nine where `up` is 2. Each phase
   * (py, px) computes every up-th pixel, from the map's pixels at `taps` [dy, dx]. Its weights
   * are (outputs, taps, inputs), so that what an output reads is one row.
   */
  function phases(weights, outputs, inputs, up) {
    const made = [];
    for (let py = 0; py < up; py++) {
      for (let px = 0; px < up; px++) {
        const places = new Map(); // "dy,dx" → the kernel's places that read that pixel
        for (let k = 0; k < 9; k++) {
          const [dy, dx] = [Math.floor((py + ((k / 3) | 0) - 1) / up), Math.floor((px + (k % 3) - 1) / up)];
          const key = `${dy},${dx}`;
          places.set(key, [...(places.get(key) ?? []), k]);
        }
        const taps = [...places.keys()].map((key) => key.split(",").map(Number));
        const summed = new Float32Array(outputs * taps.length * inputs);
        [...places.values()].forEach((kernel, tap) => {
          for (let o = 0; o < outputs; o++) {
            for (let c = 0; c < inputs; c++) {
              let sum = 0;
              for (const k of kernel) sum += weights[(o * inputs + c) * 9 + k];
              summed[(o * taps.length + tap) * inputs + c] = sum;
            }
          }
        });
        made.push({ py, px, taps, weights: summed });
      }
    }
    return made;
  }

  /** The convolution of an "hwc" map, with zeros around it. */
  function convolve(map, { phases, bias, inputs, up }) {
    const outputs = bias.length;
    const width = map.width * up;
    const values = new Float32Array(map.height * up * width * outputs);
    for (const { py, px, taps, weights } of phases) {
      const patches = gather(map, taps, inputs);
      const places = Array.from({ length: map.height * map.width }, (_, p) => {
        const [y, x] = [(p / map.width) | 0, p % map.width];
        return ((y * up + py) * width + x * up + px) * outputs;
      });
      multiply(weights, patches, bias, values, places);
    }
    return { values, height: map.height * up, width };
  }

  /** What each pixel of the map reads, (pixels, taps, inputs); zeros beyond the border. */
  function gather({ values, height, width }, taps, inputs) {
    const patches = new Float32Array(height * width * taps.length * inputs);
    let at = 0;
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        for (const [dy, dx] of taps) {
          const [row, column] = [y + dy, x + dx];
          if (row >= 0 && column >= 0 && row < height && column < width) {
            const from = (row * width + column) * inputs;
            patches.set(values.subarray(from, from + inputs), at);
          }
          at += inputs;
        }
      }
    }
    return patches;
  }

  /** values[place of a pixel + output] = weights · patch + bias, for all pixels and outputs.
   *
   * Four outputs of two pixels at a time, so that each number that is read is used more than once.
   */
  function multiply(weights, patches, bias, values, places) {
    const long = weights.length / bias.length;
    for (let o = 0; o < bias.length; o += 4) {
      for (let p = 0; p < places.length; p += 2) {
        let a0 = bias[o];
        let a1 = bias[o + 1];
        let a2 = bias[o + 2];
        let a3 = bias[o + 3];
        let [b0, b1, b2, b3] = [a0, a1, a2, a3];
        for (let i = p * long, w = o * long, end = i + long; i < end; i++, w++) {
          const a = patches[i];
          const b = patches[i + long];
          const w0 = weights[w];
          const w1 = weights[w + long];
          const w2 = weights[w + 2 * long];
          const w3 = weights[w + 3 * long];
          a0 += a * w0;
          a1 += a * w1;
          a2 += a * w2;
          a3 += a * w3;
          b0 += b * w0;
          b1 += b * w1;
          b2 += b * w2;
          b3 += b * w3;
        }
        const [at, next] = [places[p] + o, places[p + 1] + o];
        values[at] = a0;
        values[at + 1] = a1;
        values[at + 2] = a2;
        values[at + 3] = a3;
        values[next] = b0;
        values[next + 1] = b1;
        values[next + 2] = b2;
        values[next + 3] = b3;
      }
    }
  }

  /** Standardised factors → a picture, "chw" in [0, 1]. */
  class Decoder {
    constructor(exported) {
      const array = (name) => readArray(exported.arrays[`decoder.${name}`]);
      const layer = (name) => ({ weights: array(`${name}.weight`), bias: array(`${name}.bias`) });
      this.head = [layer("head.0"), layer("head.2")];
      this.convolutions = [[1, 2], [4, 2], [6, 1]].map(([k, up]) => {
        const { weights, bias } = layer(`convolutions.${k}`);
        const [outputs, inputs] = exported.arrays[`decoder.convolutions.${k}.weight`].shape;
        return { phases: phases(weights, outputs, inputs, up), bias, inputs, up };
      });
      [this.start, this.patch, this.size] = [exported.start, exported.patch, exported.size];
    }

    draw(factors) {
      const flat = siluInPlace(dense(siluInPlace(dense(factors, this.head[0])), this.head[1]));
      const [channels, height, width] = this.start;
      const values = new Float32Array(flat.length); // "chw" → "hwc"
      for (let c = 0; c < channels; c++) {
        for (let p = 0; p < height * width; p++) values[p * channels + c] = flat[c * height * width + p];
      }
      let map = convolve({ values, height, width }, this.convolutions[0]);
      siluInPlace(map.values);
      map = convolve(map, this.convolutions[1]);
      siluInPlace(map.values);
      return this.unfold(convolve(map, this.convolutions[2]));
    }

    /** Channels → the pixels of each patch, and logits → shades. */
    unfold(map) {
      const { patch, size } = this;
      const channels = map.values.length / (map.height * map.width);
      const picture = new Float32Array(3 * size * size);
      for (let c = 0; c < 3; c++) {
        for (let y = 0; y < size; y++) {
          for (let x = 0; x < size; x++) {
            const cell = ((y / patch) | 0) * map.width + ((x / patch) | 0);
            const channel = c * patch * patch + (y % patch) * patch + (x % patch);
            picture[(c * size + y) * size + x] = sigmoid(map.values[cell * channels + channel]);
          }
        }
      }
      return picture;
    }
  }

  /** A trained model: factors in the world's units outside, standardised inside. */
  class Model {
    constructor(exported) {
      Object.assign(this, { flow: new Flow(exported), decoder: new Decoder(exported) });
      Object.assign(this, { nodes: exported.nodes, mean: exported.mean, std: exported.std });
    }

    /** Factors under do, {place: value in units}, with this noise. */
    factors(noise, set = {}) {
      const entries = Object.entries(set).map(([i, v]) => [+i, (v - this.mean[i]) / this.std[i]]);
      const own = this.flow.do(noise, new Map(entries));
      return own.map((z, i) => z * this.std[i] + this.mean[i]);
    }

    draw(factors) {
      return this.decoder.draw(factors.map((v, i) => (v - this.mean[i]) / this.std[i]));
    }
  }

  home.model = { Decoder, Flow, Model, readArray };
  if (typeof module !== "undefined") module.exports = home.model;
})((globalThis.caufvae ??= {}));

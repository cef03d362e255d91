/* The worlds' laws and pictures: what would really have been.
 *
 * The formulas are those of caufvae_lite/worlds/pendulum.py and water.py, one picture at a time,
 * and a test compares every pixel. A picture is "chw", white at first; each shape is mixed in by
 * the share of a pixel that it covers.
 */
"use strict";

(function (home) {
  const BLACK = [0, 0, 0];
  const FIREBRICK = [178 / 255, 34 / 255, 34 / 255];
  const ORANGE = [1, 165 / 255, 0];
  const SKY_BLUE = [135 / 255, 206 / 255, 250 / 255];

  const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
  const radians = (degrees) => (degrees * Math.PI) / 180;
  /** The share of pixel [p, p + 1] that lies in [start, stop]. */
  const overlap = (p, start, stop) => clamp(Math.min(p + 1, stop) - Math.max(p, start), 0, 1);

  /** The share of a unit pixel inside a line whose unit normal is (nx, ny). */
  function halfPlane(inside, nx, ny) {
    const a = Math.max(Math.abs(nx), 1e-3);
    const b = Math.max(Math.abs(ny), 1e-3);
    const d = clamp(inside, -1, 1);
    const ramp = (k) => Math.max(d + k, 0) ** 2;
    const [outer, inner] = [(a + b) / 2, (a - b) / 2];
    return (ramp(outer) - ramp(inner) - ramp(-inner) + ramp(-outer)) / (2 * a * b);
  }

  /** The area of the unit disc to the left of x and below y. */
  function discCorner(x, y) {
    const under = (u) => (u * Math.sqrt(Math.max(1 - u * u, 0)) + Math.asin(u)) / 2;
    [x, y] = [clamp(x, -1, 1), clamp(y, -1, 1)];
    const c = Math.sqrt(1 - y * y);
    const m = clamp(x, -c, c);
    const cap = under(m) + under(c) - Math.abs(y) * (m + c);
    return y < 0 ? cap : 2 * under(x) + Math.PI / 2 - cap;
  }

  /** A white square picture, and a frame of the scene that fills it. */
  class Picture {
    constructor(size, { left, right, bottom, top }) {
      this.size = size;
      this.values = new Float32Array(3 * size * size).fill(1);
      this.across = size / (right - left);
      this.down = size / (top - bottom);
      this.x = (x) => (x - left) * this.across; // scene → pixels from the upper left corner
      this.y = (y) => (top - y) * this.down;
    }

    /** Mix a colour in, by the share (pixel's column, pixel's row) → 0 … 1. */
    paint(colour, share) {
      const { size, values } = this;
      for (let row = 0; row < size; row++) {
        for (let column = 0; column < size; column++) {
          const s = share(column, row);
          if (!s) continue;
          for (let c = 0; c < 3; c++) {
            const at = (c * size + row) * size + column;
            values[at] += s * (colour[c] - values[at]);
          }
        }
      }
    }

    /** A rectangle, in pixels. */
    bar(left, right, top, bottom, colour) {
      this.paint(colour, (c, r) => overlap(c, left, right) * overlap(r, top, bottom));
    }

    /** A rectangle, in the scene's axes. */
    block(left, right, bottom, top, colour) {
      this.bar(this.x(left), this.x(right), this.y(top), this.y(bottom), colour);
    }
  }

  /** What is true of every world here: noise is what the law leaves over. */
  class World {
    /** Draw the values that factors have under `set`, {place: value}, with the effects' noise. */
    apply(factors, set, noise) {
      const values = [...factors];
      for (const i of this.generations.flat()) {
        if (i in set) values[i] = set[i];
        else if (this.law[i]) values[i] = this.law[i](values) + noise[i];
      }
      return values;
    }

    /** Each effect's own noise in a scene; roots have none. */
    residual(factors) {
      return factors.map((value, i) => (this.law[i] ? value - this.law[i](factors) : 0));
    }

    /** What a scene would have been under `set`. What cannot be reached is kept as it is. */
    counterfactual(factors, set) {
      const reach = this.affected(Object.keys(set).map(Number));
      const changed = this.apply(factors, set, this.residual(factors));
      return factors.map((value, i) => (reach.has(i) ? changed[i] : value));
    }

    /** The places in `chosen` and everything that follows from them. */
    affected(chosen) {
      const reach = new Set(chosen);
      for (const i of this.generations.flat()) {
        if (this.parents[i].some((j) => reach.has(j))) reach.add(i);
      }
      return reach;
    }

    render(factors) {
      const picture = new Picture(64, this.frame);
      this.paint(picture, factors);
      return picture.values;
    }
  }

  // ----------------------------------------------------------------- the pendulum

  const PIVOT = [10, 10.5];
  const [ROD, CASTING_POINT, BALL, SUN] = [8, 9.5, 1.5, 3];
  const [SUN_HEIGHT, GROUND, SHORTEST] = [20.5, -0.5, 3];

  class Pendulum extends World {
    constructor(noise) {
      super();
      this.noise = noise;
      this.frame = { left: 0, right: 20, bottom: -1, top: 21 };
      this.generations = [[0, 1], [2, 3]];
      this.parents = [[], [], [0, 1], [0, 1]];
      const ends = ([theta, phi]) => { // the shadow's ends: pivot and casting point, projected
        const cot = 1 / Math.tan(radians(phi));
        const x = PIVOT[0] + CASTING_POINT * Math.sin(radians(theta));
        const y = PIVOT[1] - CASTING_POINT * Math.cos(radians(theta));
        return [PIVOT[0] - (PIVOT[1] - GROUND) * cot, x - (y - GROUND) * cot];
      };
      this.handles = [ // where a scene is held: a factor's place, and its value under a pointer
        { at: ([theta]) => [PIVOT[0] + ROD * Math.sin(radians(theta)), PIVOT[1] - ROD * Math.cos(radians(theta))],
          value: (x, y) => Math.atan2(x - PIVOT[0], PIVOT[1] - y) / radians(1) },
        { at: ([, phi]) => [PIVOT[0] + 10 / Math.tan(radians(phi)), 19.4],
          value: (x) => Math.atan2(1, (x - PIVOT[0]) / 10) / radians(1) },
        { at: ([, , length, position]) => [position + length / 2, GROUND],
          value: (x, y, factors) => 2 * (x - factors[3]) },
        { at: ([, , , position]) => [position, GROUND], value: (x) => x },
      ];
      this.law = [
        null,
        null,
        (factors) => { const [a, b] = ends(factors); return Math.max(Math.abs(a - b), SHORTEST); },
        (factors) => { const [a, b] = ends(factors); return (a + b) / 2; },
      ];
    }

    /** The effects' noise of another day, from standard normal draws. */
    exogenous(draws) {
      return [0, 0, this.noise * draws[2], this.noise * draws[3]];
    }

    paint(picture, [theta, phi, length, position]) {
      const { size } = picture;
      const half = size / 48;
      const ball = [PIVOT[0] + ROD * Math.sin(radians(theta)), PIVOT[1] - ROD * Math.cos(radians(theta))];
      const sun = [PIVOT[0] + (SUN_HEIGHT - PIVOT[1]) / Math.tan(radians(phi)), SUN_HEIGHT];
      this.rod(picture, PIVOT, ball, half);
      this.disc(picture, ...ball, BALL, FIREBRICK);
      this.disc(picture, ...sun, SUN, ORANGE);
      const [left, right] = [picture.x(position - length / 2), picture.x(position + length / 2)];
      const ground = picture.y(GROUND);
      picture.bar(left, right, ground - half, ground + half, BLACK);
    }

    rod(picture, start, end, half) {
      const [x0, y0] = [picture.x(start[0]), picture.y(start[1])];
      const [endX, endY] = [picture.x(end[0]) - x0, picture.y(end[1]) - y0];
      const length = Math.hypot(endX, endY);
      const [ux, uy] = [endX / length, endY / length];
      picture.paint(BLACK, (column, row) => {
        const [dx, dy] = [column + 0.5 - x0, row + 0.5 - y0];
        const aside = uy * dx - ux * dy;
        const along = ux * dx + uy * dy;
        if (along >= length || Math.abs(aside) > half + 1) return 0;
        const across = halfPlane(half - aside, ux, uy) + halfPlane(half + aside, ux, uy) - 1;
        return clamp(across * halfPlane(along, ux, uy), 0, 1);
      });
    }

    disc(picture, x, y, radius, colour) {
      const [width, height] = [radius * picture.across, radius * picture.down];
      const [px, py] = [picture.x(x), picture.y(y)];
      picture.paint(colour, (column, row) => {
        const [dx, dy] = [(column + 0.5 - px) / width, (row + 0.5 - py) / height];
        const slope = Math.max(2 * (Math.abs(dx) / width + Math.abs(dy) / height), 1e-6);
        return clamp((1 - dx * dx - dy * dy) / slope + 0.5, 0, 1);
      });
    }
  }

  // -------------------------------------------------------------------- the water

  const [LEFT_WALL, RIGHT_WALL, RIM, FLOOR, LANDING, GAP] = [3, 8, 19, 5, 0.5, 0.4];
  const HALF_LINE = 20 / 36 / 2;

  class Water extends World {
    constructor(noise) {
      super();
      this.noise = noise;
      this.frame = { left: 0, right: 20, bottom: 0, top: 20 };
      this.generations = [[0, 2], [1], [3]];
      this.parents = [[], [0], [], [1, 2]];
      this.handles = [
        { at: ([radius]) => [5.5, 2 * radius + 0.5], value: (x, y) => (y - 0.5) / 2 },
        { at: ([, height]) => [4.2, FLOOR + height], value: (x, y) => y - FLOOR },
        { at: ([, , hole]) => [RIGHT_WALL, hole + 0.2], value: (x, y) => y - 0.2 },
        { at: ([, , , reach]) => [RIGHT_WALL + reach, 0.5], value: (x) => x - RIGHT_WALL },
      ];
      this.law = [
        null,
        ([radius]) => Math.max(radius, 0) ** 3,
        null,
        ([, height, hole]) => Math.sqrt(1.96 * Math.max(height, 0) * Math.max(hole - LANDING, 0)),
      ];
    }

    /** h₀ is uniform from 1.0 to 3.9: the normal draw's share of the bell, on that range. */
    exogenous(draws) {
      const share = 1 / (1 + Math.exp(-1.5976 * draws[1] - 0.07056 * draws[1] ** 3));
      return [0, 1.0 + 2.9 * share, 0, this.noise * draws[3]];
    }

    paint(picture, [radius, height, hole, reach]) {
      picture.block(LEFT_WALL, RIGHT_WALL, 0, FLOOR + height, SKY_BLUE);
      this.jet(picture, hole, reach);
      picture.block(LEFT_WALL - HALF_LINE, LEFT_WALL + HALF_LINE, 0, RIM, BLACK);
      picture.block(RIGHT_WALL - HALF_LINE, RIGHT_WALL + HALF_LINE, hole + GAP, RIM, BLACK);
      picture.block(RIGHT_WALL - HALF_LINE, RIGHT_WALL + HALF_LINE, 0, hole, BLACK);
      picture.block(0, 20, 0.2 - HALF_LINE, 0.2 + HALF_LINE, BLACK);
      const [x, y, r] = [picture.x(5.5), picture.y(radius + 0.5), Math.max(radius * picture.across, 1e-4)];
      const corner = (column, row) => discCorner((column - x) / r, (row - y) / r);
      picture.paint(FIREBRICK, (c, w) => {
        if (radius <= 0 || Math.abs(c + 0.5 - x) > r + 1 || Math.abs(w + 0.5 - y) > r + 1) return 0;
        const area = corner(c + 1, w + 1) - corner(c, w + 1) - corner(c + 1, w) + corner(c, w);
        return clamp(area * r * r, 0, 1);
      });
    }

    /** A stroke along the parabola Y = a X², to the right of the wall and below the hole. */
    jet(picture, hole, reach) {
      const half = HALF_LINE * picture.across;
      const [origin, start] = [picture.x(RIGHT_WALL), picture.y(Math.max(hole, LANDING + 0.05))];
      const width = Math.max(reach, 1e-2) * picture.across;
      const drop = picture.y(LANDING) - start;
      const a = drop / width ** 2;
      const slope = (2 * drop) / width;
      const ux = 1 / Math.sqrt(1 + slope * slope);
      picture.paint(SKY_BLUE, (column, row) => {
        const [across, y] = [column + 0.5 - origin, row + 0.5 - start];
        if (across < -0.5 || across > width + half + 2 || y < -half - 2 || y > drop + half + 2) return 0;
        const x = Math.max(across, 0);
        let t = Math.max(x, Math.sqrt(Math.max(y, 0) / a)); // the nearest point, by Newton's method
        for (let k = 0; k < 3; k++) {
          const missed = a * t * t - y;
          t -= (t - x + 2 * a * t * missed) / (1 + 2 * a * missed + 4 * (a * t) ** 2);
        }
        const nx = 1 / Math.sqrt(1 + (2 * a * t) ** 2);
        const ny = 2 * a * t * nx;
        const distance = Math.hypot(t - x, a * t * t - y);
        const stroke = halfPlane(half - distance, nx, ny) + halfPlane(half + distance, nx, ny) - 1;
        const beyond = (x - width) * ux + (y - drop) * slope * ux;
        const cut = stroke * halfPlane(-beyond, ux, slope * ux) * clamp(across + 0.5, 0, 1);
        return clamp(cut, 0, 1);
      });
    }
  }

  home.worlds = { Pendulum, Water };
  if (typeof module !== "undefined") module.exports = home.worlds;
})((globalThis.caufvae ??= {}));

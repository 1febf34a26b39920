// Places the nodes of a flowchart: layers from above to below, so that arrows lead down except where a call goes back.
// An arrow over several layers has a place of its own in each between, so that it passes beside the nodes there.

export const LINE_HEIGHT = 18;
const NODE_WIDTH = 210;
const LANE_WIDTH = 24;
const PADDING = 10;
const GAP_X = 36;
const GAP_Y = 72;
const MARGIN = 24;
// How far to the right of its node an arrow that goes back bends.
const BEND = 34;
// Of a line of a node, the characters that fit; of a node, the lines.
const MAX_LINE = 28;
const MAX_LINES = 5;
const SWEEPS = 4;

/**
 * {width, height, nodes: [{id, shape, lines, x, y, width, height}], arrows: [{label, back, path, x, y}]}: where each node
 * stands, in pixels from the upper left corner, and each arrow's path as SVG has it, with the place of its label.
 */
export function placed({ nodes, arrows }) {
  const known = new Map(nodes.map((node) => [node.id, measured(node)]));
  const drawn = arrows.filter((arrow) => known.has(arrow.from) && known.has(arrow.to));
  const depths = depthsOf(nodes, drawn);
  const routes = drawn.map((arrow) => routeOf(arrow, known, depths));
  const layers = [];
  for (const node of known.values()) (layers[depths.get(node.id)] ??= []).push(node);
  for (const { lanes } of routes) for (const lane of lanes) layers[lane.depth].push(lane);
  uncross(layers, routes);
  const size = spread(layers);
  return { ...size, nodes: [...known.values()], arrows: routes.map(drawnArrow) };
}

/** An arrow with what it leads through, from above to below: its nodes, and a lane in each layer between. */
function routeOf(arrow, known, depths) {
  const [from, to] = [known.get(arrow.from), known.get(arrow.to)];
  const [first, last] = [depths.get(arrow.from), depths.get(arrow.to)];
  const count = Math.max(0, last - first - 1);
  const lanes = Array.from({ length: count }, (_, index) => ({ depth: first + 1 + index, width: LANE_WIDTH, height: 0 }));
  return { label: arrow.label, back: last <= first, from, to, lanes };
}

/** Orders each layer by where what leads to it, and then what it leads to, stands. */
function uncross(layers, routes) {
  const [above, below] = [new Map(), new Map()];
  for (const { back, from, to, lanes } of routes) {
    if (back) continue;
    const way = [from, ...lanes, to];
    for (let index = 1; index < way.length; index += 1) {
      above.set(way[index], [...(above.get(way[index]) ?? []), way[index - 1]]);
      below.set(way[index - 1], [...(below.get(way[index - 1]) ?? []), way[index]]);
    }
  }
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const [order, beside] = sweep % 2 ? [[...layers].reverse(), below] : [layers, above];
    for (const layer of layers) layer.forEach((item, index) => (item.rank = (index + 1) / (layer.length + 1)));
    for (const layer of order) {
      for (const item of layer) item.rank = mean((beside.get(item) ?? []).map((other) => other.rank)) ?? item.rank;
      layer.sort((one, other) => one.rank - other.rank);
      layer.forEach((item, index) => (item.rank = (index + 1) / (layer.length + 1)));
    }
  }
}

const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null);

/** Gives everything its place, and the picture its size. */
function spread(layers) {
  const widthOf = (layer) => layer.reduce((sum, { width }) => sum + width + GAP_X, -GAP_X);
  const widest = Math.max(...layers.map(widthOf));
  let y = MARGIN;
  for (const layer of layers) {
    let x = MARGIN + (widest - widthOf(layer)) / 2;
    const height = Math.max(...layer.map((item) => item.height));
    for (const item of layer) {
      Object.assign(item, { x, y });
      if (!item.id) item.height = height;
      x += item.width + GAP_X;
    }
    y += height + GAP_Y;
  }
  return { width: widest + 2 * MARGIN + BEND, height: y - GAP_Y + MARGIN };
}

function drawnArrow({ label, back, from, to, lanes }) {
  if (back) return { label, back, ...pathBack(from, to) };
  const way = [from, ...lanes, to];
  let path = `M ${middle(from)} ${from.y + from.height}`;
  for (let index = 1; index < way.length; index += 1) {
    const [upper, lower] = [way[index - 1], way[index]];
    const end = lower === to ? lower.y - 4 : lower.y;
    path += curve(middle(upper), upper.y + upper.height, middle(lower), end);
    if (lower !== to) path += ` L ${middle(lower)} ${lower.y + lower.height}`;
  }
  // A third of the way down: of arrows from one node, the labels stand apart.
  const [next, start] = [way[1], from.y + from.height];
  return { label, back, path, x: middle(from) + (middle(next) - middle(from)) * 0.4, y: start + (next.y - start) * 0.5 };
}

const middle = (item) => item.x + item.width / 2;

function curve(x1, y1, x2, y2) {
  const y = (y1 + y2) / 2;
  return ` C ${x1} ${y}, ${x2} ${y}, ${x2} ${y2}`;
}

/** Out of the right side, and up to the right side of where it leads. */
function pathBack(from, to) {
  const [startX, startY] = [from.x + from.width, from.y + from.height / 2];
  const [endX, endY] = [to.x + to.width + 4, to.y + to.height / 2 + 6];
  const bend = Math.max(startX, endX) + BEND;
  return { path: `M ${startX} ${startY} C ${bend} ${startY}, ${bend} ${endY}, ${endX} ${endY}`, x: bend - 12, y: startY };
}

/** By id, the layer of each node: the longest way to it, not counting arrows that lead back to a node on the way. */
function depthsOf(nodes, arrows) {
  const depths = new Map(nodes.map((node) => [node.id, 0]));
  const targets = new Map(nodes.map((node) => [node.id, []]));
  for (const arrow of arrows) targets.get(arrow.from).push(arrow.to);
  const order = topological(nodes, targets);
  const position = new Map(order.map((id, index) => [id, index]));
  for (const id of order)
    for (const target of targets.get(id))
      if (position.get(target) > position.get(id)) depths.set(target, Math.max(depths.get(target), depths.get(id) + 1));
  return depths;
}

/** The ids, each before those that it leads to, but for arrows back. A depth-first search without recursion. */
function topological(nodes, targets) {
  const seen = new Set();
  const finished = [];
  for (const { id } of nodes) {
    const stack = seen.has(id) ? [] : [[id, 0]];
    seen.add(id);
    while (stack.length) {
      const top = stack.at(-1);
      const target = targets.get(top[0])[top[1]++];
      if (target === undefined) finished.push(stack.pop()[0]);
      else if (!seen.has(target)) {
        seen.add(target);
        stack.push([target, 0]);
      }
    }
  }
  return finished.reverse();
}

function measured(node) {
  const lines = node.lines.flatMap(wrapped).slice(0, MAX_LINES);
  return { ...node, lines, width: NODE_WIDTH, height: Math.max(1, lines.length) * LINE_HEIGHT + 2 * PADDING };
}

function wrapped(line) {
  const lines = [""];
  for (const word of line.split(" ")) {
    const last = lines.at(-1);
    if (last && last.length + word.length >= MAX_LINE) lines.push(word);
    else lines[lines.length - 1] = last ? `${last} ${word}` : word;
  }
  return lines.flatMap((text) => text.match(new RegExp(`.{1,${MAX_LINE}}`, "gsu")) ?? [""]);
}

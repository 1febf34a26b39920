// The flowchart of GET /api/call_flows/:id/graph, read: nodes and arrows of the Mermaid text that the server writes.

const SHAPES = [
  [/^\(\((.*)\)\)$/s, "round"],
  [/^\{\{(.*)\}\}$/s, "menu"],
  [/^\[\/(.*)\/\]$/s, "ask"],
  [/^\[\[(.*)\]\]$/s, "dial"],
  [/^\(\[(.*)\]\)$/s, "end"],
  [/^\[(.*)\]$/s, "step"],
];
const ENTITIES = { "#quot;": '"', "#35;": "#", "#lt;": "<", "#gt;": ">", "#amp;": "&", "#96;": "`" };
const ARROW = /^(.+?) (?:-- "(.*)" )?--> (.+)$/;
const NODE = /^(\w+)(\W.*)$/s;

/**
 * {nodes: [{id, shape, lines}], arrows: [{from, to, label}]}, in the order of the text. `lines` are the lines of a node's
 * text, plain. A line that is neither node nor arrow is left out.
 */
export function readMermaid(text) {
  const nodes = new Map();
  const arrows = [];
  const add = (written) => {
    const node = readNode(written);
    if (node && (node.lines.length || !nodes.has(node.id))) nodes.set(node.id, node);
    return node?.id;
  };
  for (const line of text.split("\n").slice(1)) {
    const arrow = ARROW.exec(line.trim());
    if (arrow) arrows.push({ from: add(arrow[1]), to: add(arrow[3]), label: plain(arrow[2] ?? "") });
    else add(line.trim());
  }
  return { nodes: [...nodes.values()], arrows };
}

function readNode(written) {
  if (/^\w+$/.test(written)) return { id: written, shape: "step", lines: [] };
  const [, id, body] = NODE.exec(written) ?? [];
  for (const [pattern, shape] of SHAPES) {
    const found = pattern.exec(body ?? "");
    if (found) return { id, shape, lines: found[1].replace(/^"|"$/g, "").split("<br/>").map(plain) };
  }
  return null;
}

function plain(text) {
  return text.replace(/#(?:quot|35|lt|gt|amp|96);/g, (entity) => ENTITIES[entity]);
}

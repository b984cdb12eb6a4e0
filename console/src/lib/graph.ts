// Layout of "who touches what": identities on the left, resources on the right, one band an edge.
import type { Overview } from '../api/types';

export interface GraphNode {
  id: string;
  y: number;
  height: number;
  commands: number;
  refused: number;
}

export interface GraphEdge {
  identity: string;
  resource: string;
  commands: number;
  refused: number;
  rows: number;
  fromY: number;
  toY: number;
  width: number;
  refusedWidth: number;
}

export interface GraphLayout {
  identities: GraphNode[];
  resources: GraphNode[];
  edges: GraphEdge[];
  height: number;
}

export const ROW = 44;
const BAND_MAX = 26;

// Width of a band: by the square root, so that one command stays visible beside ten thousand.
function bandWidth(commands: number, most: number): number {
  return most <= 0 ? 1.5 : Math.max(1.5, BAND_MAX * Math.sqrt(commands / most));
}

function place(ids: string[], edges: Overview['edges'], side: 'identity' | 'resource', widths: Map<object, number>): GraphNode[] {
  let y = 24;
  return ids.map((id) => {
    const mine = edges.filter((edge) => edge[side] === id);
    const bands = mine.reduce((sum, edge) => sum + (widths.get(edge) ?? 0), 0);
    const height = Math.max(ROW - 14, bands);
    const node = {
      id,
      y,
      height,
      commands: mine.reduce((sum, edge) => sum + edge.commands, 0),
      refused: mine.reduce((sum, edge) => sum + edge.refused, 0),
    };
    y += height + 14;
    return node;
  });
}

export function layoutGraph(overview: Overview): GraphLayout {
  const most = Math.max(0, ...overview.edges.map((edge) => edge.commands));
  const widths = new Map<object, number>(overview.edges.map((edge) => [edge, bandWidth(edge.commands, most)]));
  const volume = (id: string, side: 'identity' | 'resource'): number =>
    overview.edges.filter((edge) => edge[side] === id).reduce((sum, edge) => sum + edge.commands, 0);
  const ids = (kind: 'identity' | 'resource'): string[] =>
    overview.nodes
      .filter((node) => node.kind === kind)
      .map((node) => node.id)
      .sort((a, b) => volume(b, kind) - volume(a, kind) || a.localeCompare(b));
  const identities = place(ids('identity'), overview.edges, 'identity', widths);
  const resources = place(ids('resource'), overview.edges, 'resource', widths);

  const order = (nodes: GraphNode[], id: string): number => nodes.findIndex((node) => node.id === id);
  const used = new Map<GraphNode, number>();
  const slot = (nodes: GraphNode[], id: string, width: number): number | null => {
    const node = nodes.find((candidate) => candidate.id === id);
    if (node === undefined) return null;
    const total = used.get(node) ?? 0;
    used.set(node, total + width);
    return node.y + total + width / 2;
  };
  const edges: GraphEdge[] = [];
  const sorted = [...overview.edges].sort(
    (a, b) =>
      order(identities, a.identity) - order(identities, b.identity) ||
      order(resources, a.resource) - order(resources, b.resource),
  );
  for (const edge of sorted) {
    const width = widths.get(edge) ?? 1.5;
    const fromY = slot(identities, edge.identity, width);
    const toY = slot(resources, edge.resource, width);
    if (fromY === null || toY === null) continue;
    const share = edge.commands > 0 ? Math.min(1, edge.refused / edge.commands) : 0;
    edges.push({ ...edge, fromY, toY, width, refusedWidth: share === 0 ? 0 : Math.max(1.5, width * share) });
  }
  const bottom = (nodes: GraphNode[]): number => {
    const last = nodes[nodes.length - 1];
    return last === undefined ? 0 : last.y + last.height;
  };
  return { identities, resources, edges, height: Math.max(bottom(identities), bottom(resources), 40) + 16 };
}

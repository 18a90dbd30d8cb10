//! Where the boxes and lines of a layered graph go.
//!
//! The layer of a node is the length of the longest path to it (Sugiyama, Tagawa and Toda 1981, "Methods for
//! visual understanding of hierarchical system structures", IEEE Transactions on Systems, Man and Cybernetics
//! 11, 109). A line that passes layers gets a bend in each of them. Within a layer, nodes and bends are ordered by
//! the mean place of their neighbors, and then moved towards these as far as there is room.

use std::collections::HashMap;

/// The size of a box, the way that layers follow each other, and the gaps.
#[derive(Clone, Copy, Debug)]
pub struct Measures {
    /// The width and height of a box.
    pub node: [f64; 2],
    /// The gap between layers.
    pub layer_gap: f64,
    /// The gap between the boxes of a layer.
    pub node_gap: f64,
    /// The widest that a drawing may be whose layers go from left to right, unless it would be wider from top to
    /// bottom.
    pub width: f64,
}

/// Places, from the upper left corner of the drawing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GraphLayout {
    /// The width and height of all.
    pub size: [f64; 2],
    /// The upper left corner of each node's box.
    pub nodes: Vec<[f64; 2]>,
    /// The lines, in the order of the nodes that they end in.
    pub lines: Vec<Line>,
    /// True if layers go from left to right, false if they go from top to bottom.
    pub across: bool,
}

/// A line from one node to a later one.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The node where it begins.
    pub from: usize,
    /// The node where it ends.
    pub to: usize,
    /// Its points: pairs of a place where it leaves a layer and one where it reaches the next.
    pub points: Vec<[f64; 2]>,
}

/// Sweeps over the layers that order nodes and move them.
const SWEEPS: usize = 12;
/// The room that a bend takes beside boxes.
const BEND: f64 = 8.0;
/// With more bends than this, lines are drawn straight.
const MOST_BENDS: usize = 4_000;

/// Lays out a graph. `inputs` has, by node, the nodes before it that lines come from.
pub fn layout(inputs: &[Vec<usize>], measures: &Measures) -> GraphLayout {
    let mut graph = Layered::new(inputs);
    graph.order();
    let [wide, high] = measures.node;
    let depth = graph.layers.len() as f64;
    let across = depth * wide + (depth - 1.0).max(0.0) * measures.layer_gap;
    let breadth = graph.layers.iter().map(|layer| graph.boxes(layer)).max();
    let down = breadth.unwrap_or(0) as f64 * (wide + measures.node_gap);
    let across = across <= measures.width || across <= down;
    // Along the layers, and across them.
    let [along, beside] = if across { [wide, high] } else { [high, wide] };
    let centers = graph.spread(beside, measures.node_gap);
    let place = |item: usize, behind: bool| {
        let layer = graph.layer[item] as f64;
        let start = layer * (along + measures.layer_gap);
        let at = if behind { start + along } else { start };
        if across {
            [at, centers[item]]
        } else {
            [centers[item], at]
        }
    };
    let nodes = (0..inputs.len()).map(|node| {
        let [x, y] = place(node, false);
        if across {
            [x, y - high / 2.0]
        } else {
            [x - wide / 2.0, y]
        }
    });
    let nodes: Vec<[f64; 2]> = nodes.collect();
    let lines = graph.lines.iter().map(|line| Line {
        from: line[0],
        to: line[line.len() - 1],
        points: line
            .windows(2)
            .flat_map(|pair| [place(pair[0], true), place(pair[1], false)])
            .collect(),
    });
    let lines: Vec<Line> = lines.collect();
    let ends = nodes.iter().map(|[x, y]| [x + wide, y + high]);
    let points = lines.iter().flat_map(|line| line.points.iter().copied());
    let size = ends.chain(points).fold([0.0_f64; 2], |size, end| {
        [size[0].max(end[0]), size[1].max(end[1])]
    });
    GraphLayout {
        size,
        nodes,
        lines,
        across,
    }
}

/// A graph whose nodes, and the bends of its lines, are in layers.
struct Layered {
    nodes: usize,
    /// By node or bend, its layer.
    layer: Vec<usize>,
    /// By layer, its nodes and bends in order.
    layers: Vec<Vec<usize>>,
    /// The nodes and bends of each line.
    lines: Vec<Vec<usize>>,
    /// By node or bend, its neighbors in the layer before and in the one behind.
    neighbors: Vec<[Vec<usize>; 2]>,
}

impl Layered {
    fn new(inputs: &[Vec<usize>]) -> Self {
        let mut layer = layers(inputs);
        let edges = inputs.iter().enumerate();
        let edges = edges.flat_map(|(to, from)| earlier(from, to).map(move |from| [from, to]));
        let edges: Vec<[usize; 2]> = edges.collect();
        let bends = edges.iter().map(|[from, to]| layer[*to] - layer[*from] - 1);
        let bent = bends.sum::<usize>() <= MOST_BENDS;
        let mut lines = Vec::with_capacity(edges.len());
        for [from, to] in edges {
            let mut line = vec![from];
            if bent {
                for between in layer[from] + 1..layer[to] {
                    line.push(layer.len());
                    layer.push(between);
                }
            }
            line.push(to);
            lines.push(line);
        }
        let count = layer.iter().max().map_or(0, |last| last + 1);
        let mut layers = vec![Vec::new(); count];
        for (item, &at) in layer.iter().enumerate() {
            layers[at].push(item);
        }
        let mut neighbors = vec![[Vec::new(), Vec::new()]; layer.len()];
        for pair in lines.iter().flat_map(|line| line.windows(2)) {
            neighbors[pair[0]][1].push(pair[1]);
            neighbors[pair[1]][0].push(pair[0]);
        }
        Self {
            nodes: inputs.len(),
            layer,
            layers,
            lines,
            neighbors,
        }
    }

    /// The number of boxes among the items of a layer.
    fn boxes(&self, layer: &[usize]) -> usize {
        layer.iter().filter(|item| **item < self.nodes).count()
    }

    /// Orders each layer by the mean place of the neighbors, forwards and backwards in turn.
    fn order(&mut self) {
        let mut place = vec![0.0; self.layer.len()];
        for layer in &self.layers {
            let items = layer.iter().enumerate();
            items.for_each(|(at, item)| place[*item] = at as f64);
        }
        for sweep in 0..SWEEPS {
            let side = sweep % 2;
            for at in in_turn(self.layers.len(), side) {
                let mut layer = std::mem::take(&mut self.layers[at]);
                let mean = |item: usize| self.mean(item, side, &place).unwrap_or(place[item]);
                let means: HashMap<usize, f64> =
                    layer.iter().map(|item| (*item, mean(*item))).collect();
                layer.sort_by(|a, b| means[a].total_cmp(&means[b]));
                let items = layer.iter().enumerate();
                items.for_each(|(at, item)| place[*item] = at as f64);
                self.layers[at] = layer;
            }
        }
    }

    /// The mean place of the neighbors of an item before it (0) or behind it (1).
    fn mean(&self, item: usize, side: usize, place: &[f64]) -> Option<f64> {
        let others = &self.neighbors[item][side];
        let sum: f64 = others.iter().map(|other| place[*other]).sum();
        (!others.is_empty()).then(|| sum / others.len() as f64)
    }

    /// Returns the center of each item across the layers.
    fn spread(&self, size: f64, gap: f64) -> Vec<f64> {
        let own = |item: usize| if item < self.nodes { size } else { BEND };
        let apart = |pair: &[usize]| (own(pair[0]) + own(pair[1])) / 2.0 + gap;
        let mut center = vec![0.0; self.layer.len()];
        let shifts: Vec<Vec<f64>> = self
            .layers
            .iter()
            .map(|layer| {
                let steps = layer.windows(2).map(apart);
                let ends = steps.scan(0.0, |at, step| {
                    *at += step;
                    Some(*at)
                });
                std::iter::once(0.0).chain(ends).collect()
            })
            .collect();
        for (layer, shift) in self.layers.iter().zip(&shifts) {
            let middle = shift.last().copied().unwrap_or(0.0) / 2.0;
            let items = layer.iter().zip(shift);
            items.for_each(|(item, shift)| center[*item] = shift - middle);
        }
        for sweep in 0..SWEEPS {
            let side = sweep % 2;
            for at in in_turn(self.layers.len(), side) {
                let (layer, shift) = (&self.layers[at], &shifts[at]);
                let wish = |item: &usize| self.mean(*item, side, &center).unwrap_or(center[*item]);
                let wishes = layer.iter().zip(shift);
                let wishes: Vec<f64> = wishes.map(|(item, shift)| wish(item) - shift).collect();
                let got = ascending(&wishes);
                let items = layer.iter().zip(shift.iter().zip(got));
                items.for_each(|(item, (shift, got))| center[*item] = got + shift);
            }
        }
        let edges = (0..center.len()).map(|item| center[item] - own(item) / 2.0);
        let first = edges.fold(f64::INFINITY, f64::min);
        center.iter_mut().for_each(|center| *center -= first);
        center
    }
}

/// The inputs that come before a node. Others cannot be drawn.
fn earlier(from: &[usize], to: usize) -> impl Iterator<Item = usize> {
    let mut from: Vec<usize> = from.iter().copied().filter(|from| *from < to).collect();
    from.sort_unstable();
    from.dedup();
    from.into_iter()
}

/// The layers of nodes: the longest path. A node that few lines reach and many leave moves as far back as it can,
/// so that its lines are short.
fn layers(inputs: &[Vec<usize>]) -> Vec<usize> {
    let mut layer = vec![0; inputs.len()];
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); inputs.len()];
    for (to, from) in inputs.iter().enumerate() {
        for from in earlier(from, to) {
            layer[to] = layer[to].max(layer[from] + 1);
            after[from].push(to);
        }
    }
    for node in (0..inputs.len()).rev() {
        let nearest = after[node].iter().map(|to| layer[*to]).min();
        if let Some(nearest) = nearest
            && after[node].len() > earlier(&inputs[node], node).count()
        {
            layer[node] = nearest - 1;
        }
    }
    layer
}

/// The layers in the order in which their neighbors on one side are settled first, without the first of them.
fn in_turn(layers: usize, side: usize) -> Vec<usize> {
    match side {
        0 => (1..layers).collect(),
        _ => (0..layers.saturating_sub(1)).rev().collect(),
    }
}

/// The ascending numbers that are nearest to the given ones (least squares, by pooling of adjacent violators).
fn ascending(wishes: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for &wish in wishes {
        let mut pool = (wish, 1);
        while let Some(&(mean, count)) = pools.last()
            && mean > pool.0
        {
            let all = count + pool.1;
            pool = (
                (mean * count as f64 + pool.0 * pool.1 as f64) / all as f64,
                all,
            );
            pools.pop();
        }
        pools.push(pool);
    }
    let each = pools.into_iter();
    each.flat_map(|(mean, count)| std::iter::repeat_n(mean, count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURES: Measures = Measures {
        node: [100.0, 40.0],
        layer_gap: 30.0,
        node_gap: 10.0,
        width: 1000.0,
    };

    /// Boxes must not overlap, lines go forwards, and all lies inside of the drawing.
    fn check(inputs: &[Vec<usize>]) -> GraphLayout {
        let made = layout(inputs, &MEASURES);
        assert_eq!(made, layout(inputs, &MEASURES));
        let [wide, high] = MEASURES.node;
        for (at, [x, y]) in made.nodes.iter().enumerate() {
            assert!(*x >= -1e-9 && *y >= -1e-9, "{x} {y}");
            assert!(x + wide <= made.size[0] + 1e-9 && y + high <= made.size[1] + 1e-9);
            for [a, b] in &made.nodes[..at] {
                let apart = (x - a).abs() >= wide - 1e-6 || (y - b).abs() >= high - 1e-6;
                assert!(apart, "{at}: {x} {y} and {a} {b}");
            }
        }
        let forward = usize::from(!made.across);
        for line in &made.lines {
            assert!(line.points.len() >= 2 && line.from < line.to);
            let inside =
                |point: &[f64; 2]| (0..2).all(|i| (0.0..=made.size[i]).contains(&point[i]));
            assert!(line.points.iter().all(inside), "{line:?}");
            let pairs = line.points.windows(2);
            pairs.for_each(|pair| assert!(pair[0][forward] <= pair[1][forward] + 1e-9));
        }
        made
    }

    #[test]
    fn a_chain_and_a_fan() {
        let chain: Vec<Vec<usize>> = vec![vec![], vec![0], vec![1], vec![2]];
        let made = check(&chain);
        assert!(made.across);
        assert_eq!(made.nodes[3], [390.0, 0.0]);
        assert_eq!(made.lines[0].points, [[100.0, 20.0], [130.0, 20.0]]);
        let long: Vec<Vec<usize>> = (0..40_usize)
            .map(|i| i.checked_sub(1).into_iter().collect())
            .collect();
        assert!(!check(&long).across);
        let fan: Vec<Vec<usize>> = (0..30)
            .map(|i| if i == 0 { vec![] } else { vec![0] })
            .collect();
        let made = check(&fan);
        assert!(made.across && made.size[0] == 230.0, "{:?}", made.size);
        // The root is in the middle of what it feeds.
        assert!((made.nodes[0][1] - made.size[1] / 2.0 + 20.0).abs() < 1.0);
    }

    #[test]
    fn a_line_that_passes_layers_goes_around_boxes() {
        let made = check(&[vec![], vec![0], vec![1], vec![0, 2]]);
        let long = made
            .lines
            .iter()
            .find(|line| (line.from, line.to) == (0, 3));
        let long = long.expect("a line");
        assert_eq!(long.points.len(), 6);
        let [_, box_y] = made.nodes[1];
        let y = long.points[2][1];
        assert!(y < box_y || y > box_y + 40.0, "{y} {box_y}");
    }

    #[test]
    fn odd_graphs_are_drawn_too() {
        assert_eq!(check(&[]).size, [0.0, 0.0]);
        check(&[vec![], vec![], vec![]]);
        // Lines from a node to itself, backwards or to nowhere are left out.
        assert_eq!(check(&[vec![0, 1, 9], vec![]]).lines, []);
        check(&[vec![], vec![0, 0, 0]]);
        let mut state = 1_u64;
        for size in [12, 60, 200, 400] {
            let inputs = (0..size).map(|to: usize| {
                (0..to.min(3))
                    .map(|_| {
                        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                        (state >> 33) as usize % to
                    })
                    .collect()
            });
            let inputs: Vec<Vec<usize>> = inputs.collect();
            check(&inputs);
        }
    }

    #[test]
    fn ascending_numbers_are_the_nearest_ones() {
        assert_eq!(ascending(&[1.0, 2.0, 5.0]), [1.0, 2.0, 5.0]);
        assert_eq!(ascending(&[3.0, 1.0, 5.0]), [2.0, 2.0, 5.0]);
        assert_eq!(ascending(&[3.0, 2.0, 1.0]), [2.0, 2.0, 2.0]);
        assert_eq!(ascending(&[]), [0.0; 0]);
    }
}

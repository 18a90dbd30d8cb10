//! Which rows of a block of objects are computed.

use std::ops::Range;

/// The rows of a block of objects: those at each point whose object has an observation there or later, point by point.
///
/// Objects with many points come first, so the rows of a point are those of the first objects.
#[derive(Debug)]
pub struct Plan {
    /// The objects, by falling number of points up to the last observation.
    order: Vec<usize>,
    /// The first row of each point, and the number of all rows.
    firsts: Vec<usize>,
    points: usize,
}

impl Plan {
    /// Plans a block with this mask, `[objects, points]`.
    pub fn new(mask: &[f32], points: usize) -> Self {
        let lengths: Vec<usize> = mask
            .chunks_exact(points)
            .map(|mask| points - mask.iter().rev().take_while(|&&seen| seen == 0.0).count())
            .collect();
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&object| std::cmp::Reverse(lengths[object]));
        let mut firsts = vec![0];
        for point in 0..points {
            let active = order.partition_point(|&object| lengths[object] > point);
            firsts.push(firsts[point] + active);
        }
        Self {
            order,
            firsts,
            points,
        }
    }

    /// The objects in the order of the rows of a point.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// The number of all rows.
    pub fn rows(&self) -> usize {
        self.firsts[self.points]
    }

    /// The rows of a point.
    pub fn rows_of(&self, point: usize) -> Range<usize> {
        self.firsts[point]..self.firsts[point + 1]
    }

    /// Where in `[objects, points]` each row is, in the order of rows.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        (0..self.points).flat_map(move |point| {
            let active = self.rows_of(point).len();
            let objects = self.order[..active].iter();
            objects.map(move |&object| object * self.points + point)
        })
    }

    /// Returns the rows of `[objects, points, width]`, zero where the mask is.
    pub fn gather(&self, values: &[f32], width: usize, mask: &[f32]) -> Vec<f32> {
        let mut rows = vec![0.0; self.rows() * width];
        for (row, place) in rows.chunks_exact_mut(width).zip(self.places()) {
            if mask[place] != 0.0 {
                row.copy_from_slice(&values[place * width..][..width]);
            }
        }
        rows
    }

    /// Writes rows to `[objects, points, width]`. The rest of it stays as it is.
    pub fn scatter(&self, rows: &[f32], width: usize, values: &mut [f32]) {
        for (row, place) in rows.chunks_exact(width).zip(self.places()) {
            values[place * width..][..width].copy_from_slice(row);
        }
    }
}

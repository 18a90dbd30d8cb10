//! Which rows of a block of objects are computed.

use std::ops::Range;

/// The most rows that are worked on at once, so that they stay in a cache. Sums over rows are made of those of runs.
const RUN: usize = 512;

/// The rows of a block of objects: those at each point whose object has an observation there or later, point by point.
///
/// Objects with many points come first, so the rows of a point are those of the first objects.
#[derive(Clone, Debug)]
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

    /// The rows of some points.
    pub fn rows_of(&self, points: Range<usize>) -> Range<usize> {
        self.firsts[points.start]..self.firsts[points.end]
    }

    /// The objects that have a row at a point, in the order of the rows.
    pub fn objects_of(&self, point: usize) -> &[usize] {
        &self.order[..self.rows_of(point..point + 1).len()]
    }

    /// Deals the points into runs that have at most [`RUN`] rows, or are one point.
    pub fn runs(&self) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        let mut first = 0;
        for point in 0..self.points {
            if point > first && self.rows_of(first..point + 1).len() > RUN {
                runs.push(first..point);
                first = point;
            }
        }
        runs.push(first..self.points);
        runs
    }

    /// Where in `[objects, points]` the rows of some points are.
    pub fn places(&self, points: Range<usize>) -> impl Iterator<Item = usize> {
        points.flat_map(move |point| {
            let objects = self.objects_of(point).iter();
            objects.map(move |&object| object * self.points + point)
        })
    }

    /// Returns the rows of some points of `[objects, points, width]`, zero where the mask is.
    pub fn gather(
        &self,
        points: Range<usize>,
        (values, width): (&[f32], usize),
        mask: &[f32],
    ) -> Vec<f32> {
        let mut rows = vec![0.0; self.rows_of(points.clone()).len() * width];
        for (row, place) in rows.chunks_exact_mut(width).zip(self.places(points)) {
            if mask[place] != 0.0 {
                row.copy_from_slice(&values[place * width..][..width]);
            }
        }
        rows
    }

    /// Writes the rows of some points to `[objects, points, width]`. The rest of it stays as it is.
    pub fn scatter(&self, points: Range<usize>, (rows, width): (&[f32], usize), into: &mut [f32]) {
        for (row, place) in rows.chunks_exact(width).zip(self.places(points)) {
            into[place * width..][..width].copy_from_slice(row);
        }
    }
}

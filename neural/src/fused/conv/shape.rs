//! How the windows of a convolution lie.

/// How the windows of a convolution lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// The points in a window.
    pub kernel: usize,
    /// Points from one window to the next.
    pub stride: usize,
    /// Points from one point of a window to the next.
    pub dilation: usize,
    /// Zeros that are put before the first point, and as many behind the last one.
    pub padding: usize,
}

impl ConvShape {
    /// Windows of neighboring points at every point, with zeros around so that there are as many windows as points. The
    /// kernel must be odd.
    pub fn same(kernel: usize) -> Self {
        Self {
            kernel,
            stride: 1,
            dilation: 1,
            padding: kernel / 2,
        }
    }

    /// The number of windows on this many points.
    pub fn windows(&self, points: usize) -> usize {
        let padded = points + 2 * self.padding;
        match padded.checked_sub(self.reach()) {
            Some(rest) => rest / self.stride + 1,
            None => 0,
        }
    }

    /// Points from the first of a window to the one behind its last.
    fn reach(&self) -> usize {
        self.dilation * (self.kernel - 1) + 1
    }
}

//! Which features are worth keeping, judged by the labels of training rows.
//!
//! - [`fresh`]: a test of each feature against the label, at a controlled rate of false discoveries.
//!
//! These are functions of columns and labels. The kind `select` ensures that they get training rows
//! only.

pub mod fresh;

//! Which features are worth keeping, judged by the labels of training rows.
//!
//! - [`fresh`]: a test of each feature against the label, at a controlled rate of false discoveries.
//!
//! Functions of columns and labels. That they get training rows and no others, the kind `select` sees to.

pub mod fresh;

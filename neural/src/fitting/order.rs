//! Which rows make up each batch.

use flow_stages::numeric::rng::Stream;

/// What the draws are for.
const ORDER: u64 = 3;

/// Returns the batches of an epoch: `rows` in an order that depends on the seed and the epoch alone, in batches of `size`
/// rows. A last batch of one row would have no statistics of its own, so its row joins the batch before.
pub fn shuffled(rows: &[usize], size: usize, seed: u64, epoch: usize) -> Vec<Vec<usize>> {
    let mut rows = rows.to_vec();
    Stream::new(seed, &[ORDER, epoch as u64]).shuffle(&mut rows);
    let mut batches: Vec<Vec<usize>> = rows.chunks(size.max(1)).map(<[usize]>::to_vec).collect();
    if batches.len() > 1
        && let Some(last) = batches.pop_if(|last| last.len() == 1)
        && let Some(before) = batches.last_mut()
    {
        before.extend(last);
    }
    batches
}

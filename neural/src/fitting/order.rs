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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_has_every_row_once_and_no_batch_of_one() {
        let rows: Vec<usize> = (10..43).collect();
        let batches = shuffled(&rows, 8, 3, 1);
        assert_eq!(
            batches.iter().map(Vec::len).collect::<Vec<_>>(),
            [8, 8, 8, 9]
        );
        let mut all = batches.concat();
        assert_ne!(all, rows);
        all.sort_unstable();
        assert_eq!(all, rows);
        assert_ne!(shuffled(&rows, 8, 3, 2), batches);
        assert_ne!(shuffled(&rows, 8, 4, 1), batches);
        assert_eq!(shuffled(&rows, 100, 3, 1).len(), 1);
        assert_eq!(shuffled(&[7], 1, 3, 1), [[7]]);
    }
}

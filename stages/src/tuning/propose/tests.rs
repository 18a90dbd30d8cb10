use super::*;

fn real(low: f64, high: f64, log: bool) -> Dimension {
    Dimension::Real { low, high, log }
}

/// The best loss of a study of `trials` trials, `parallel` at a time.
fn study(
    sampler: Sampler,
    space: &[Dimension],
    seed: u64,
    trials: usize,
    parallel: usize,
    loss: impl Fn(&Point) -> Option<f64>,
) -> Vec<TriedPoint> {
    let mut tried: Vec<TriedPoint> = Vec::new();
    while tried.len() < trials {
        let count = parallel.min(trials - tried.len());
        let points = propose(sampler, space, seed, &tried, count);
        if points.is_empty() {
            break;
        }
        tried.extend(points.into_iter().map(|point| TriedPoint {
            loss: loss(&point),
            point,
        }));
    }
    tried
}

fn best(tried: &[TriedPoint]) -> f64 {
    tried
        .iter()
        .filter_map(|t| t.loss)
        .fold(f64::INFINITY, f64::min)
}

/// Counts in how many of 20 seeds TPE ends with a lower loss than random search.
fn wins(
    space: &[Dimension],
    trials: usize,
    parallel: usize,
    loss: impl Fn(&Point) -> f64,
) -> usize {
    let loss = |point: &Point| Some(loss(point));
    (0..20)
        .filter(|&seed| {
            let run = |sampler| best(&study(sampler, space, seed, trials, parallel, loss));
            run(Sampler::Tpe) < run(Sampler::Random)
        })
        .count()
}

#[test]
fn tpe_beats_random_search_on_a_bowl() {
    let space = vec![real(-5.0, 5.0, false); 3];
    let bowl = |p: &Point| p.iter().map(|x| (x - 1.0) * (x - 1.0)).sum();
    let alone = wins(&space, 60, 1, bowl);
    assert!(alone >= 16, "{alone} of 20 seeds");
    let four = wins(&space, 60, 4, bowl);
    assert!(four >= 16, "{four} of 20 seeds, four at a time");
}

#[test]
fn tpe_beats_random_search_on_a_space_like_that_of_a_learner() {
    let space = [
        real(0.001, 1.0, true),
        Dimension::Whole {
            low: 1,
            high: 16,
            log: false,
        },
        Dimension::Choice(4),
    ];
    let loss = |p: &Point| {
        let rate = libm::log10(p[0] / 0.05);
        let depth = (p[1] - 6.0) / 5.0;
        let option = [0.5, 0.2, 0.0, 0.3][p[2] as usize];
        rate * rate + depth * depth + option
    };
    let wins = wins(&space, 50, 2, loss);
    assert!(wins >= 15, "{wins} of 20 seeds");
}

#[test]
fn a_study_played_again_makes_the_same_proposals() {
    let space = [real(0.0, 1.0, false), Dimension::Choice(3)];
    let loss = |p: &Point| Some((p[0] - 0.3).abs() + p[1]);
    for sampler in [Sampler::Tpe, Sampler::Random] {
        let whole = study(sampler, &space, 7, 30, 3, loss);
        let part = &whole[..21];
        assert_eq!(
            propose(sampler, &space, 7, part, 3)[..],
            points(&whole)[21..24]
        );
        assert_ne!(
            points(&study(sampler, &space, 8, 30, 3, loss)),
            points(&whole)
        );
        let longer = study(sampler, &space, 7, 33, 3, loss);
        assert_eq!(longer[..30], whole[..], "more trials only add to a study");
    }
}

fn points(tried: &[TriedPoint]) -> Vec<Point> {
    tried.iter().map(|tried| tried.point.clone()).collect()
}

#[test]
fn a_finite_space_is_tried_whole_and_no_point_twice() {
    let space = [
        Dimension::Choice(3),
        Dimension::Whole {
            low: 1,
            high: 5,
            log: false,
        },
    ];
    for sampler in [Sampler::Tpe, Sampler::Random, Sampler::Grid] {
        let tried = study(sampler, &space, 1, 100, 4, |p| Some(p[1]));
        let distinct: HashSet<Vec<u64>> = tried.iter().map(|t| bits(&t.point)).collect();
        assert_eq!((tried.len(), distinct.len()), (15, 15), "{sampler:?}");
    }
    let tried = study(Sampler::Grid, &space, 1, 100, 4, |_| None);
    let grid: Vec<Point> = (0..15).map(|i| grid_point(&space, i)).collect();
    assert_eq!(points(&tried), grid);
}

#[test]
fn failures_are_avoided() {
    let space = [real(0.0, 1.0, false)];
    // Half of the space does not work.
    let tried = study(Sampler::Tpe, &space, 3, 60, 1, |p| {
        (p[0] > 0.5).then_some((p[0] - 0.8).abs())
    });
    let late = tried[30..].iter().filter(|t| t.loss.is_none()).count();
    assert!(late < 5, "{late} of 30 late trials failed");
}

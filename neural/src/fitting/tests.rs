//! Fits from end to end.

use std::sync::atomic::Ordering;

use super::state::FitState;
use super::testing::{KeepingHost, Quadrants, settings};
use super::*;

#[test]
fn a_fit_learns_and_says_how_well() {
    let fitted = Quadrants::new(240)
        .fit(&settings(), &KeepingHost::patient())
        .unwrap();
    assert_eq!((fitted.epoch, fitted.epochs), (30, 30));
    assert_eq!(fitted.history.len(), 60);
    let [fit, held_out] = &fitted.history[58..] else {
        panic!("two rows an epoch");
    };
    assert!(fit.epoch == 30 && !fit.held_out && held_out.held_out);
    assert!(
        fit.loss < 0.4 && held_out.loss < 0.4,
        "{fit:?} {held_out:?}"
    );
    assert!(held_out.score.unwrap() > 0.9, "{held_out:?}");
    assert!(fitted.history[0].loss > 0.6, "{:?}", fitted.history[0]);
    // 2 x 8 + 8 + 8 + 1 weights are fitted, and one is counted up by each pass that fits.
    assert_eq!(fitted.weights.parameters(), 33);
    assert_eq!(fitted.weights.values.len(), 34);
    let seen = fitted
        .weights
        .about
        .iter()
        .position(|about| about.name == "seen");
    let before: usize = fitted.weights.about[..seen.unwrap()]
        .iter()
        .map(ArrayAbout::size)
        .sum();
    assert!(
        fitted.weights.values[before] >= 180.0,
        "6 batches in 30 epochs"
    );
}

#[test]
fn a_fit_that_was_stopped_goes_on_and_ends_with_the_same_bytes() {
    let rows = Quadrants::new(100);
    let mut settings = settings();
    settings.epochs = 5;
    settings.rate.schedule = RateSchedule::Plateau {
        epochs: 1,
        factor: 0.5,
    };
    let whole = KeepingHost::patient();
    let unbroken = rows.fit(&settings, &whole).unwrap();
    let broken = KeepingHost::new(0);
    let mut stops = 0;
    let fitted = loop {
        // An epoch has 4 batches; the last ones are for the rows that are held out.
        broken.batches.store(5 + stops % 2, Ordering::Relaxed);
        match rows.fit(&settings, &broken) {
            Err(FitError::Stopped) => stops += 1,
            done => break done.unwrap(),
        }
        assert!(stops < 20);
    };
    assert!(stops > 3, "{stops}");
    assert_eq!(fitted, unbroken);
    let [broken, whole] = [broken, whole].map(|host| host.state.into_inner().unwrap().unwrap());
    assert_eq!(broken, whole);
}

#[test]
fn a_damaged_or_foreign_state_is_not_gone_on_from() {
    let rows = Quadrants::new(60);
    let settings = FitSettings {
        epochs: 2,
        ..settings()
    };
    let host = KeepingHost::patient();
    let whole = rows.fit(&settings, &host).unwrap();
    let bytes = host.state.lock().unwrap().clone().unwrap();
    let read = FitState::from_bytes(&bytes, "quadrants").unwrap();
    assert_eq!(read.to_bytes("quadrants"), bytes);
    assert!(FitState::from_bytes(&bytes, "another").is_none());
    let longer = [&bytes[..], &[0; 4]].concat();
    assert!(FitState::from_bytes(&longer, "quadrants").is_none());
    for end in [0, 10, 40, bytes.len() - 4, bytes.len() - 1] {
        let cut = &bytes[..end];
        assert!(FitState::from_bytes(cut, "quadrants").is_none(), "{end}");
        *host.state.lock().unwrap() = Some(cut.to_vec());
        assert_eq!(rows.fit(&settings, &host).unwrap(), whole);
    }
}

#[test]
fn a_fit_ends_once_its_best_epoch_is_long_ago() {
    let mut settings = settings();
    settings.rate.rate = 0.5;
    settings.rate.schedule = RateSchedule::Constant;
    settings.epochs = 200;
    settings.patience = 4;
    let host = KeepingHost::patient();
    let fitted = Quadrants::new(60).fit(&settings, &host).unwrap();
    assert_eq!(fitted.epochs, fitted.epoch + 4);
    assert!(fitted.epochs < 200);
    let held_out = fitted.history.iter().filter(|row| row.held_out);
    let least = held_out.min_by(|a, b| a.loss.total_cmp(&b.loss)).unwrap();
    assert_eq!(least.epoch, fitted.epoch);
    // What has ended is not gone on with, and gives the weights of the best epoch again.
    host.batches.store(0, Ordering::Relaxed);
    assert_eq!(Quadrants::new(60).fit(&settings, &host).unwrap(), fitted);
}

#[test]
fn a_loss_that_is_no_number_ends_the_fit() {
    let mut rows = Quadrants::new(40);
    rows.features[6] = f32::INFINITY;
    let error = rows.fit(&settings(), &KeepingHost::patient()).unwrap_err();
    assert!(error.to_string().contains("in epoch 1"), "{error}");
    let mut steep = settings();
    steep.rate.rate = 1e38;
    steep.descent.weight_decay = 10.0;
    let error = Quadrants::new(40)
        .fit(&steep, &KeepingHost::patient())
        .unwrap_err();
    assert!(
        matches!(error, FitError::Diverged { epoch: 1, .. }),
        "{error}"
    );
}

#[test]
fn batches_may_be_larger_than_the_data_and_rows_too_few() {
    let settings = FitSettings {
        batch_size: 1000,
        epochs: 2,
        ..settings()
    };
    let host = KeepingHost::patient();
    assert!(Quadrants::new(12).fit(&settings, &host).is_ok());
    let error = Quadrants::new(2).fit(&settings, &host).unwrap_err();
    assert!(error.to_string().contains("1 rows to fit on"), "{error}");
}

#[test]
fn threads_change_no_bytes() {
    let rows = Quadrants::new(100);
    let settings = FitSettings {
        epochs: 3,
        ..settings()
    };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| rows.fit(&settings, &KeepingHost::patient()).unwrap())
    };
    assert_eq!(on(1), on(4));
}

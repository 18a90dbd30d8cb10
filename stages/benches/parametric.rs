//! Time of the six default models, fitted to one object of some 130 points with all columns, at each SIMD level
//! of this processor, on one thread.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use flow_stages::features::event::Nights;
use flow_stages::features::parametric::{DEFAULT_MODELS, FitOptions, Fitter, Model};
use flow_stages::numeric::rng::Stream;
use flow_stages::numeric::simd::SimdLevel;
use flow_stages::physics::dust::LSST_WAVELENGTHS;

const POINTS: usize = 130;

/// A bump of 100 days in all bands, with noise.
fn object() -> Nights {
    let mut stream = Stream::new(1, &[]);
    let time: Vec<f64> = (0..POINTS).map(|i| 60_000.5 + 2.0 * i as f64).collect();
    let band: Vec<u16> = (0..POINTS).map(|i| (i % 6) as u16).collect();
    let flux: Vec<f64> = time
        .iter()
        .map(|t| 50.0 / (1.0 + ((t - 60_080.0) / 25.0).abs()) + stream.normal())
        .collect();
    Nights::merge(&time, &band, &flux, &[1.0; POINTS])
}

fn fits(criterion: &mut Criterion) {
    let models = DEFAULT_MODELS.iter().filter_map(|name| Model::of(name));
    let wavelengths = LSST_WAVELENGTHS.to_vec();
    let fitter = Fitter::new(models.collect(), &[], wavelengths, FitOptions::default());
    let object = object();
    let mut out = vec![f64::NAN; fitter.columns().len()];
    let mut group = criterion.benchmark_group("parametric_fit");
    group.sample_size(20);
    for level in SimdLevel::available() {
        SimdLevel::set_cap(level);
        group.bench_function(BenchmarkId::from_parameter(level), |bencher| {
            bencher.iter(|| fitter.measure(&object, Some(0.2), &mut out));
        });
    }
    group.finish();
    SimdLevel::set_cap(SimdLevel::detect());
}

criterion_group!(benches, fits);
criterion_main!(benches);

//! Time of the Gaussian-process features of one object at each SIMD level of this processor.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use flow_stages::features::event::Nights;
use flow_stages::features::gp::{GpModel, GpOptions};
use flow_stages::numeric::rng::Stream;
use flow_stages::numeric::simd::SimdLevel;

const WAVELENGTHS: [f64; 6] = [3641.0, 4704.0, 6155.0, 7504.0, 8695.0, 10_056.0];

/// An event in a survey of six years, `n` points in all bands.
fn object(n: usize) -> Nights {
    let mut stream = Stream::new(1, &[n as u64]);
    let mut nights = Nights::default();
    for i in 0..n {
        let time = 60_000.0 + 2200.0 * i as f64 / n as f64;
        let phase = (time - 61_000.0) / if time < 61_000.0 { 20.0 } else { 60.0 };
        nights.time.push(time);
        nights.band.push((i % 6) as u16);
        nights
            .flux
            .push(30.0 * (1.0 / (1.0 + phase * phase)) + 0.5 * stream.normal());
        nights.err.push(0.5);
    }
    nights
}

fn features(criterion: &mut Criterion) {
    let model = GpModel::new(&WAVELENGTHS, GpOptions::default());
    let names = model.names(&["u", "g", "r", "i", "z", "y"]);
    let mut out = vec![0.0; names.len()];
    for n in [50, 150, 400] {
        let nights = object(n);
        let mut group = criterion.benchmark_group(format!("gp of {n} points"));
        group.sample_size(20);
        for level in SimdLevel::available() {
            SimdLevel::set_cap(level);
            group.bench_function(BenchmarkId::from_parameter(level), |bencher| {
                bencher.iter(|| model.features(&nights, Some(0.2), &mut out));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, features);
criterion_main!(benches);

//! Time of the ROCKET transform for one band at each SIMD level of this processor, on one thread.
//!
//! `benches/rocket_vs_aeon.py` compares CPU seconds at full size with aeon.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flow_stages::features::rocket::{KernelSet, KernelVariant};
use flow_stages::numeric::rng::Stream;
use flow_stages::numeric::simd::SimdLevel;

const SERIES: usize = 128;
const POINTS: usize = 100;
const KERNELS: usize = 500;

fn transform(criterion: &mut Criterion) {
    let mut stream = Stream::new(1, &[]);
    let series: Vec<f32> = (0..SERIES * POINTS)
        .map(|_| stream.normal() as f32)
        .collect();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("one thread");
    for (name, variant) in [
        ("rocket", KernelVariant::Rocket),
        ("ternary", KernelVariant::Ternary),
    ] {
        let set = KernelSet::generate(variant, KERNELS, POINTS, 42, 0);
        let mut out = vec![0.0; SERIES * set.n_features()];
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements((SERIES * KERNELS) as u64));
        group.sample_size(20);
        for level in SimdLevel::available() {
            group.bench_function(BenchmarkId::from_parameter(level), |bencher| {
                pool.install(|| {
                    bencher.iter(|| {
                        set.transform_at(level, &series, &mut out, set.n_features(), 0);
                    });
                });
            });
        }
        group.finish();
    }
    criterion.bench_function("generate 5,000 kernels", |bencher| {
        bencher.iter(|| KernelSet::generate(KernelVariant::Rocket, 5_000, POINTS, 42, 0));
    });
}

criterion_group!(benches, transform);
criterion_main!(benches);

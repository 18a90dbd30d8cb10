//! CPU seconds of the ROCKET transform, or with `--minirocket` of MiniRocket, at the size of a light-curve survey's training set.
//!
//! 3,043 objects, 6 bands, 100 points, 10,000 features a band, random walks as series. The CPU time is
//! that of the whole process between start and end of the transform (user and system, all threads),
//! read from `/proc/self/stat`, so run it on Linux. `benches/rocket_vs_aeon.py` measures the same work
//! in aeon; `--scalar` and `--avx2` measure the lower SIMD levels.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo run --release -p flow-stages --example rocket_cpu
//! ```

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program that measures time and prints it, not a stage"
)]

use flow_stages::features::minirocket::{BiasedKernels, DilationPlan, Pooling, Transform};
use flow_stages::features::rocket::{KernelSet, KernelVariant};
use flow_stages::numeric::rng::Stream;
use flow_stages::numeric::simd::SimdLevel;

const OBJECTS: usize = 3_043;
const BANDS: usize = 6;
const POINTS: usize = 100;
const KERNELS: usize = 5_000;

/// User plus system time of this process in seconds; Linux counts it in hundredths.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the program's name in brackets, may hold spaces; user and system ticks are
    // the 14th and 15th fields.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

/// Random walks, row-major (object, point).
fn walks(band: u64) -> Vec<f32> {
    let mut series = Vec::with_capacity(OBJECTS * POINTS);
    for object in 0..OBJECTS as u64 {
        let mut stream = Stream::new(1, &[band, object]);
        let mut level = 0.0;
        for _ in 0..POINTS {
            level += stream.normal();
            series.push(level as f32);
        }
    }
    series
}

fn main() {
    let mut name = "rocket";
    for argument in std::env::args().skip(1) {
        if argument == "--minirocket" {
            name = "minirocket";
            continue;
        }
        match argument.trim_start_matches('-').parse::<SimdLevel>() {
            Ok(level) => SimdLevel::set_cap(level),
            Err(error) => {
                eprintln!("{error}");
                std::process::exit(2);
            }
        }
    }
    let bands: Vec<Vec<f32>> = (0..BANDS as u64).map(walks).collect();
    let wall = std::time::Instant::now();
    let before = cpu_seconds();
    let out = match name {
        "rocket" => rocket(&bands),
        _ => minirocket(&bands),
    };
    let wall = wall.elapsed().as_secs_f64();
    let cpu = match (before, cpu_seconds()) {
        (Some(before), Some(after)) => format!("{:.2}", after - before),
        _ => "unknown".to_owned(),
    };
    let level = SimdLevel::active();
    println!("flow {name}, {level}: {cpu} CPU s, {wall:.2} wall s (kernels, transform, output)");
    println!("checksum of the bits: {:016x}", checksum(&out));
}

/// Draws kernels and transforms the series of all bands.
fn rocket(bands: &[Vec<f32>]) -> Vec<f32> {
    let stride = BANDS * 2 * KERNELS;
    let mut out = vec![0.0f32; OBJECTS * stride];
    for (band, series) in bands.iter().enumerate() {
        let set = KernelSet::generate(KernelVariant::Rocket, KERNELS, POINTS, 42, band as u64);
        set.transform(series, &mut out, stride, band * 2 * KERNELS);
    }
    out
}

/// Fits biases and transforms the series of all bands.
fn minirocket(bands: &[Vec<f32>]) -> Vec<f32> {
    let plan = DilationPlan::new(POINTS, 2 * KERNELS, 32);
    let width = plan.features();
    let stride = BANDS * width;
    let wanted: Vec<usize> = (0..width).collect();
    let mut out = vec![0.0f32; OBJECTS * stride];
    for (band, series) in bands.iter().enumerate() {
        let row = |pair: usize| pair * 31 % OBJECTS * POINTS;
        let kernels = BiasedKernels::fit(plan.clone(), |pair| &series[row(pair)..][..POINTS]);
        let transform = Transform {
            kernels: &kernels,
            pooling: Pooling::Proportion,
            shift: 0,
            wanted: &wanted,
        };
        transform.run(series, &mut out, stride, band * width);
    }
    out
}

/// FNV-1a over the bits of the features: equal for every SIMD level and thread count.
fn checksum(values: &[f32]) -> u64 {
    values
        .iter()
        .fold(0xCBF2_9CE4_8422_2325, |hash: u64, value| {
            (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0000_0100_0000_01B3)
        })
}

//! Kind `quality_cut`: drops observations with large errors.

use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::params;
use flow_stages::table::{Curves, row_attrs};

/// The kind.
pub struct QualityCut;

params! {
    struct CutParams {
        max_err: f64 = float(5.0, 0.0, 1e9, "Largest error that is kept, in the unit of the flux.");
    }
}

impl Stage for QualityCut {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "quality_cut",
            version: 1,
            about: "Drops observations with large errors",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![OutputPort::of(
                    "curves",
                    "curves",
                    0,
                    "the light curves that are left",
                )],
            },
            params: CutParams::specs(),
            steps: vec![
                Step::new("cut", Scope::Shard)
                    .port("curves")
                    .writes("curves"),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let curves = Curves::read(&action.one("curves")?.path)?;
        let max_err = CutParams::read(action.params).max_err;
        let mut kept = Curves::new(curves.objects.survey.clone());
        for i in 0..curves.len() {
            kept.objects.push_from(&curves.objects, i);
            for j in curves.offsets[i]..curves.offsets[i + 1] {
                if curves.flux_err[j] <= max_err {
                    kept.time.push(curves.time[j]);
                    kept.band.push(curves.band[j]);
                    kept.flux.push(curves.flux[j]);
                    kept.flux_err.push(curves.flux_err[j]);
                }
            }
            kept.offsets.push(kept.time.len());
        }
        let attrs = row_attrs(&kept.objects.object_id);
        let mut writer = action.create()?;
        kept.write(&mut writer)?;
        action.finish("curves", writer, attrs)
    }
}

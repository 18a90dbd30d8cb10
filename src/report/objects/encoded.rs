//! Objects as JSON for the script of the page. Lists are short names of fields, because there are thousands.

use std::collections::BTreeMap;

use flow_stages::inspection::{
    BandPoints, FeatureRange, Judged, ObjectFit, ObjectList, ObservedObject, Opinion,
};
use flow_stages::table::Reason;
use serde_json::{Value as Json, json};

use super::gather::Gathered;
use super::lists;
use crate::report::section::to_digits;

/// The most features that moved a score.
const MOST_REASONS: usize = 8;

/// The data of the section.
pub fn data(all: &Gathered<'_>) -> Json {
    let places: BTreeMap<&str, usize> = all.ids.iter().map(String::as_str).zip(0..).collect();
    let judgement = &all.judgement;
    let list = |list: &ObjectList| {
        let ids = list
            .objects
            .iter()
            .map(|&place| judgement.objects[place].id.as_str());
        json!({
            "id": lists::id(list.kind),
            "title": lists::title(list.kind),
            "about": lists::about(list.kind, judgement),
            "of": list.of,
            "objects": ids.filter_map(|id| places.get(id)).collect::<Vec<_>>(),
        })
    };
    json!({
        "run": all.evaluated.run.id,
        "stage": all.evaluated.stage,
        "curves": all.curves,
        "positive": judgement.positive,
        "classes": judgement.classes,
        "bands": all.observed.survey.bands,
        "of": all.of(),
        "models": all.models.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "all_models": all.all_models,
        "fits": all.fits.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "reasons": all.reasons.as_ref().map(|(name, _)| name),
        "features": all.features.iter().map(feature).collect::<Vec<_>>(),
        "lists": all.lists.iter().map(list).collect::<Vec<_>>(),
        "objects": all.ids.iter().map(|id| object(all, id)).collect::<Vec<_>>(),
    })
}

fn feature(range: &FeatureRange) -> Json {
    let classes = range.classes.iter();
    let classes = classes.map(|(class, quantiles)| (class.clone(), digits(quantiles, 4)));
    json!({
        "name": range.feature,
        "importance": to_digits(range.importance, 3),
        "classes": Json::Object(classes.collect()),
    })
}

/// One object. What is not known is left out.
fn object(all: &Gathered<'_>, id: &str) -> Json {
    let judged = all.judgement.place(id);
    let judged = judged.map(|place| &all.judgement.objects[place]);
    let observed = all.observed.get(id);
    let start = observed.map_or(0.0, start);
    let mut object = json!({
        "id": id,
        "raw": all.labels.get(id),
        "models": models(all, id),
        "fits": fits(all, id, start),
        "why": reasons(all, id, judged),
        "values": values(all, id),
    });
    if let Some(fields) = object.as_object_mut() {
        fields.extend(judged.map(judged_fields).into_iter().flatten());
        fields.extend(
            observed
                .map(|o| observed_fields(o, start))
                .into_iter()
                .flatten(),
        );
        fields.retain(|_, value| !value.is_null());
    }
    object
}

/// Names and values.
type Fields = serde_json::Map<String, Json>;

fn judged_fields(judged: &Judged) -> Fields {
    let probabilities: Vec<Json> = judged
        .probabilities
        .iter()
        .map(|&p| decimals(p, 4))
        .collect();
    let fields = json!({
        "label": judged.label,
        "predicted": judged.predicted,
        "right": judged.right,
        "score": decimals(judged.score, 4),
        "threshold": judged.threshold.map(|threshold| decimals(threshold, 4)),
        "repeats": judged.repeats,
        "wrong": judged.wrong,
        "p": probabilities,
    });
    into_fields(fields)
}

fn observed_fields(observed: &ObservedObject, start: f64) -> Fields {
    let peak = observed.peak.map(|peak| {
        json!([
            decimals(peak.time - start, 2),
            peak.band,
            to_digits(peak.flux, 4),
            decimals(peak.magnitude(), 2)
        ])
    });
    let mut fields = json!({
        "z": observed.redshift.map(|z| to_digits(z, 5)),
        "z_err": observed.redshift_err.map(|z| to_digits(z, 3)),
        "ebv": observed.ebv.map(|ebv| to_digits(ebv, 3)),
        "split": observed.split,
        "points": observed.points,
        "averaged": (observed.averaged > 1).then_some(observed.averaged),
        "start": start,
        "peak": peak,
        "curve": observed.bands.iter().map(|band| points(band, start)).collect::<Vec<_>>(),
    });
    // Light curves that no fold has seen have no label among the judged ones.
    if let (Some(label), Some(fields)) = (&observed.label, fields.as_object_mut()) {
        fields.insert("label".into(), label.clone().into());
    }
    into_fields(fields)
}

fn into_fields(json: Json) -> Fields {
    match json {
        Json::Object(fields) => fields,
        _ => Fields::new(),
    }
}

/// The day before the first observation, to which times are relative.
fn start(observed: &ObservedObject) -> f64 {
    let times = observed.bands.iter().flat_map(|band| band.time.first());
    let first = times.copied().fold(f64::INFINITY, f64::min);
    if first.is_finite() {
        first.floor()
    } else {
        0.0
    }
}

fn points(band: &BandPoints, start: f64) -> Json {
    json!([
        times(&band.time, start),
        digits(&band.flux, 4),
        digits(&band.flux_err, 3)
    ])
}

fn times(times: &[f64], start: f64) -> Json {
    times.iter().map(|time| decimals(time - start, 2)).collect()
}

fn digits(values: &[f64], significant: usize) -> Json {
    values
        .iter()
        .map(|&value| to_digits(value, significant))
        .collect()
}

/// A number with some digits after the point.
fn decimals(value: f64, digits: usize) -> Json {
    let near: f64 = format!("{value:.digits$}").parse().unwrap_or(f64::NAN);
    to_digits(near, 17)
}

/// What every model says: for the first one all probabilities of each fit, for the others that of the positive
/// class or of the object's own.
fn models(all: &Gathered<'_>, id: &str) -> Json {
    let judged = all
        .judgement
        .place(id)
        .map(|place| &all.judgement.objects[place]);
    let own = judged.and_then(|judged| judged.label.as_deref());
    let class = all.judgement.positive.as_deref().or(own);
    let models = all.models.iter().enumerate().map(|(at, (_, model))| {
        let opinions = model.of.get(id)?;
        let column = model
            .classes
            .iter()
            .position(|known| Some(known.as_str()) == class);
        let fit = |opinion: &Opinion| {
            let p = match at {
                0 => opinion
                    .probabilities
                    .iter()
                    .map(|&p| decimals(p, 4))
                    .collect(),
                _ => decimals(opinion.probabilities[column?], 4),
            };
            Some(json!([opinion.repeat, opinion.fold, p]))
        };
        opinions.iter().map(fit).collect::<Option<Vec<Json>>>()
    });
    models.map(Json::from).collect()
}

fn fits(all: &Gathered<'_>, id: &str, start: f64) -> Option<Json> {
    let fits: Vec<Option<Json>> = (all.fits.iter())
        .map(|(_, fits)| fits.get(id).map(|fit| curve(fit, start)))
        .collect();
    fits.iter().any(Option::is_some).then(|| fits.into())
}

/// A fitted curve. Most models have the same times in all bands, which are written once then.
fn curve(fit: &ObjectFit, start: f64) -> Json {
    let with_points = || fit.bands.iter().filter(|band| !band.time.is_empty());
    let first = with_points().next();
    let same = first.filter(|first| with_points().all(|band| band.time == first.time));
    let band = |band: &BandPoints| {
        if band.time.is_empty() {
            return Json::Null;
        }
        let errors = band.flux_err.iter().any(|err| !err.is_nan());
        let own = same.is_none().then(|| times(&band.time, start));
        json!([
            digits(&band.flux, 4),
            errors.then(|| digits(&band.flux_err, 2)),
            own
        ])
    };
    json!({
        "model": fit.model,
        "t": same.map(|band| times(&band.time, start)),
        "bands": fit.bands.iter().map(band).collect::<Vec<_>>(),
    })
}

/// The features that moved the score of the positive class, or of the one that is predicted.
fn reasons(all: &Gathered<'_>, id: &str, judged: Option<&Judged>) -> Option<Json> {
    let (_, moved) = all.reasons.as_ref()?;
    let classes = moved.get(id)?;
    let positive = all.judgement.positive.as_deref();
    let class = positive.or(judged.map(|judged| judged.predicted.as_str()));
    let found = class.and_then(|class| classes.get_key_value(class));
    let (class, reasons) = found.or_else(|| classes.iter().next())?;
    let reason = |reason: &Reason| {
        let value = reason.value.map(|value| to_digits(value, 4));
        json!([reason.feature, to_digits(reason.shap, 3), value])
    };
    let first = reasons.iter().take(MOST_REASONS).map(reason);
    Some(json!({ "class": class, "features": first.collect::<Vec<_>>() }))
}

fn values(all: &Gathered<'_>, id: &str) -> Option<Json> {
    let values = all.features.iter().map(|range| range.values.get(id));
    let values: Vec<Option<Json>> = values.map(|v| v.map(|&v| to_digits(v, 4))).collect();
    values.iter().any(Option::is_some).then(|| values.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_few_digits() {
        assert_eq!(decimals(1234.5678, 2).to_string(), "1234.57");
        assert_eq!(decimals(0.30000001, 4).to_string(), "0.3");
        assert_eq!(decimals(f64::NAN, 2), Json::Null);
        assert_eq!(
            digits(&[1.23456, -0.000123456, 5.0], 4).to_string(),
            "[1.235,-0.0001235,5]"
        );
    }

    #[test]
    fn equal_times_are_written_once() {
        let band = |time: &[f64], err: f64| BandPoints {
            time: time.to_vec(),
            flux: vec![2.0; time.len()],
            flux_err: vec![err; time.len()],
        };
        let fit = |bands| ObjectFit {
            model: "gp".into(),
            bands,
        };
        let same = fit(vec![
            band(&[11.0, 12.0], 0.5),
            band(&[], 1.0),
            band(&[11.0, 12.0], f64::NAN),
        ]);
        let expected = json!({"model": "gp", "t": [1, 2], "bands": [[[2, 2], [0.5, 0.5], null], null, [[2, 2], null, null]]});
        assert_eq!(curve(&same, 10.0), expected);
        let other = fit(vec![band(&[11.0], 0.5), band(&[12.0], 0.5)]);
        let expected =
            json!({"model": "gp", "t": null, "bands": [[[2], [0.5], [1]], [[2], [0.5], [2]]]});
        assert_eq!(curve(&other, 10.0), expected);
    }
}

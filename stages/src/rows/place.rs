//! Where objects are in the parts of a table.

use flow_engine::StageError;

/// Returns for each object (in the order of their bytes) the part that has it, and its row there. `parts` are
/// the objects of the parts, each in the order of their bytes.
///
/// # Errors
/// If an object is in no part, or in two.
pub fn places(parts: &[&[String]], objects: &[String]) -> Result<Vec<(usize, usize)>, StageError> {
    let mut places = vec![None; objects.len()];
    for (part, ids) in parts.iter().enumerate() {
        let mut from = 0;
        for (row, id) in ids.iter().enumerate() {
            from += objects[from..].partition_point(|o| o < id);
            if objects.get(from) != Some(id) {
                continue;
            }
            if places[from].replace((part, row)).is_some() {
                return Err(StageError::data(
                    "flow::data::object_twice",
                    format!("object `{id}` is in two parts of one feature table"),
                ));
            }
        }
    }
    let missing = places.iter().position(Option::is_none);
    if let Some(missing) = missing {
        return Err(StageError::data(
            "flow::data::objects_differ",
            format!(
                "the feature tables that meet here do not cover the same objects: `{}` is missing from one",
                objects[missing]
            ),
        ));
    }
    Ok(places.into_iter().flatten().collect())
}

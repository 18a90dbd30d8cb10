//! `each`: one action per item.

use std::borrow::Cow;
use std::collections::BTreeSet;

use flow_cache::Value;

use super::params::CommandParams;
use crate::base::diag::Diag;
use crate::kind::params::Params;
use crate::kind::typed::FromParam;

/// The most actions of one stage. More must be a slip of the pen.
const MOST: u64 = 1_000_000;

/// The stage whose items this one pairs with: `each = "w"`.
pub fn paired(params: &Params) -> Option<&str> {
    CommandParams::read(params).each?.as_str()
}

/// A key of `each` with its values.
#[derive(Debug, PartialEq)]
pub struct ItemAxis<'p> {
    /// The key.
    pub name: &'p str,
    values: Values<'p>,
}

#[derive(Debug, PartialEq)]
enum Values<'p> {
    /// The lower end, and the upper end, which is excluded.
    Range(i64, i64),
    List(&'p [Value]),
}

impl ItemAxis<'_> {
    fn len(&self) -> u64 {
        match self.values {
            Values::Range(from, to) => from.abs_diff(to),
            Values::List(values) => values.len() as u64,
        }
    }

    fn value(&self, at: u64) -> Value {
        match self.values {
            Values::Range(from, _) => Value::Int(from.wrapping_add_unsigned(at)),
            Values::List(values) => values[at as usize].clone(),
        }
    }
}

/// The keys of `each` in the order written; none for `each = "w"` and without it.
///
/// # Errors
///
/// What is wrong with them.
pub fn axes(params: &Params) -> Result<Vec<ItemAxis<'_>>, Vec<Diag>> {
    let mut axes: Vec<ItemAxis<'_>> = Vec::new();
    let mut diags = Vec::new();
    let each = CommandParams::read(params).each;
    let pairs: Option<Vec<(&str, &Value)>> = each.and_then(FromParam::from_value);
    for (name, value) in pairs.into_iter().flatten() {
        let sound = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !sound || name.is_empty() {
            let message = format!("an item cannot be called {name:?}");
            diags.push(wrong(params, message).help("a name has letters, digits and `_`"));
        }
        match values(name, value) {
            Ok(values) => axes.push(ItemAxis { name, values }),
            Err((message, help)) => diags.push(wrong(params, message).help(help)),
        }
    }
    let written = matches!(each, Some(Value::List(_)));
    if written && axes.is_empty() && diags.is_empty() {
        let help = "each = { i = { range = [0, 10] } }, or leave `each` out";
        diags.push(wrong(params, "`each` names no items".into()).help(help));
    }
    let count = axes.iter().try_fold(1u64, |n, a| n.checked_mul(a.len()));
    if count.is_none_or(|count| count > MOST) {
        let message = format!("`each` stands for more than {MOST} items");
        let help = "let one action do the work of many items: give it a stretch of them";
        diags.push(wrong(params, message).help(help));
    }
    if diags.is_empty() {
        Ok(axes)
    } else {
        Err(diags)
    }
}

fn wrong(params: &Params, message: String) -> Diag {
    let diag = Diag::new("flow::command::each", message);
    match params.span("each") {
        Some(span) => diag.label(span, "here"),
        None => diag,
    }
}

fn values<'p>(name: &str, value: &'p Value) -> Result<Values<'p>, (String, String)> {
    let range = format!("{name} = {{ range = [0, 10] }} stands for 0, 1, ... 9");
    match value {
        Value::List(values) => {
            if values.is_empty() {
                return Err((format!("`{name}` has no items"), range));
            }
            let mut seen = BTreeSet::new();
            match values.iter().find(|value| !seen.insert(text(value))) {
                Some(twice) => Err((
                    format!("`{name}` has the item `{}` twice", text(twice)),
                    "items are told apart by their texts: remove one".into(),
                )),
                None => Ok(Values::List(values)),
            }
        }
        Value::Map(entries) => match entries.as_slice() {
            [(key, Value::List(ends))] if key == "range" => match ends.as_slice() {
                [Value::Int(from), Value::Int(to)] if from < to => Ok(Values::Range(*from, *to)),
                [Value::Int(from), Value::Int(to)] => Err((
                    format!(
                        "the range of `{name}` is empty: from {from} up to, not including, {to}"
                    ),
                    range,
                )),
                _ => Err((format!("the range of `{name}` is not two numbers"), range)),
            },
            _ => Err((
                format!("`{name}` is neither a list nor a range"),
                format!("{range}; {name} = [\"g\", \"r\"] stands for its texts"),
            )),
        },
        _ => Err((format!("`{name}` is neither a list nor a range"), range)),
    }
}

/// Returns all items, with label and content. The last key varies fastest.
pub fn product(axes: &[ItemAxis<'_>]) -> impl ExactSizeIterator<Item = (String, Value)> {
    // As many as `axes` checked to be few enough.
    let count = match axes {
        [] => 0,
        _ => axes.iter().map(|axis| axis.len() as usize).product(),
    };
    (0..count).map(move |number| {
        let (number, count) = (number as u64, count as u64);
        let mut below = count;
        let mut rest = number;
        let mut label = String::new();
        let mut item = Vec::with_capacity(axes.len());
        for axis in axes {
            below /= axis.len();
            let value = axis.value(rest / below);
            rest %= below;
            if !label.is_empty() {
                label.push(',');
            }
            label.extend([axis.name, "=", &text(&value)]);
            item.push((axis.name.to_owned(), value));
        }
        (label, Value::map(item))
    })
}

/// The names that an item has values for.
pub fn names(item: &Value) -> impl Iterator<Item = &str> {
    let entries = match item {
        Value::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().map(|(name, _)| name.as_str())
}

/// What stands for `{name}` in an item, or among the `params`.
pub fn lookup<'v>(item: &'v Value, name: &str) -> Option<Cow<'v, str>> {
    let Value::Map(entries) = item else {
        return None;
    };
    let (_, value) = entries.iter().find(|(n, _)| n == name)?;
    Some(text(value))
}

fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Str(text) => Cow::Borrowed(text),
        Value::Int(number) => Cow::Owned(number.to_string()),
        // The shortest form, always with a point or an exponent.
        Value::Float(number) => Cow::Owned(format!("{number:?}")),
        Value::Bool(on) => Cow::Borrowed(if *on { "true" } else { "false" }),
        _ => Cow::Borrowed(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: Vec<(&str, Value)>) -> Params {
        let mut specs = CommandParams::specs().into_iter();
        let spec = specs.find(|spec| spec.name == "each").unwrap();
        let pair = |(name, value): (&str, Value)| Value::List(vec![Value::Str(name.into()), value]);
        let mut params = Params::default();
        let value = Value::List(pairs.into_iter().map(pair).collect());
        params.insert(&spec, value, None);
        params
    }

    fn range(from: i64, to: i64) -> Value {
        let ends = Value::List(vec![Value::Int(from), Value::Int(to)]);
        Value::Map(vec![("range".into(), ends)])
    }

    fn list(texts: &[&str]) -> Value {
        Value::List(texts.iter().map(|t| Value::Str((*t).into())).collect())
    }

    #[test]
    fn the_product_is_in_the_order_written() {
        let params = params(vec![("i", range(-1, 1)), ("band", list(&["g", "r"]))]);
        let axes = axes(&params).unwrap();
        let items = Vec::from_iter(product(&axes));
        let labels: Vec<&str> = items.iter().map(|(label, _)| label.as_str()).collect();
        let expected = ["i=-1,band=g", "i=-1,band=r", "i=0,band=g", "i=0,band=r"];
        assert_eq!(labels, expected);
        assert_eq!(names(&items[0].1).collect::<Vec<_>>(), ["band", "i"]);
        assert_eq!(lookup(&items[2].1, "i").unwrap(), "0");
        assert_eq!(lookup(&items[1].1, "band").unwrap(), "r");
        assert_eq!(lookup(&items[1].1, "x"), None);
    }

    #[test]
    fn without_items_there_is_no_product() {
        assert_eq!(product(&axes(&Params::default()).unwrap()).len(), 0);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let cases = [
            (vec![], "names no items"),
            (vec![("i", range(3, 3))], "is empty"),
            (vec![("i", range(5, 3))], "is empty"),
            (vec![("i", list(&[]))], "has no items"),
            (vec![("i", list(&["a", "b", "a"]))], "`a` twice"),
            (vec![("i", range(0, 1_000_001))], "more than 1000000"),
            (vec![("i", range(i64::MIN, i64::MAX))], "more than 1000000"),
            (
                vec![("i", range(0, 2000)), ("j", range(0, 2000))],
                "more than 1000000",
            ),
            (vec![("a b", range(0, 2))], "cannot be called"),
            (
                vec![("i", Value::Map(vec![("rang".into(), list(&[]))]))],
                "neither",
            ),
        ];
        for (pairs, expected) in cases {
            let diags = axes(&params(pairs)).unwrap_err();
            assert_eq!(diags.len(), 1, "{diags:?}");
            assert!(diags[0].message.contains(expected), "{diags:?}");
            assert_eq!(diags[0].code.as_str(), "flow::command::each");
            assert!(!diags[0].help.is_empty());
        }
        let mixed = Value::List(vec![Value::Int(3), Value::Str("3".into())]);
        assert!(axes(&params(vec![("i", mixed)])).is_err());
    }
}

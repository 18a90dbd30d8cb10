//! Parameters as the struct of a kind: [`params!`](crate::params) declares the list of specifications and
//! the struct in one place, so that no key is spelled twice and no type differs from what the list accepts.

use std::path::Path;

use flow_cache::Value;

use crate::kind::params::{ParamSpec, ParamType, Params};

/// Declares the parameters of a kind as a struct, each field with the constructor of its
/// [`ParamSpec`](crate::ParamSpec) less the name:
///
/// ```
/// flow_engine::params! {
///     struct GridParams<'a> {
///         points: usize = int(100, 2, 100_000, "Points of the grid.");
///         prefix: &'a str = new(flow_engine::ParamType::Str, "Put before every name.").or("".into());
///     }
/// }
/// let params = flow_engine::Params::default();
/// assert_eq!(GridParams::specs()[0].name, "points");
/// assert_eq!(GridParams::read(&params).prefix, "");
/// ```
///
/// `specs` gives the list, `read` the struct. A parameter without a value, because it is absent or does
/// not apply, is read as [`FromParam::absent`].
#[macro_export]
macro_rules! params {
    ($(#[$meta:meta])* $vis:vis struct $name:ident $(<$life:lifetime>)? {
        $($field:ident: $type:ty = $make:ident($($arg:expr),* $(,)?)
            $(.$more:ident($($given:expr),* $(,)?))*;)*
    }) => {
        $(#[$meta])*
        $vis struct $name $(<$life>)? {
            $($vis $field: $type,)*
        }

        impl $(<$life>)? $name $(<$life>)? {
            $vis fn specs() -> Vec<$crate::ParamSpec> {
                vec![$(
                    $crate::ParamSpec::$make(stringify!($field), $($arg),*)
                        $(.$more($($given),*))*
                        .read_as::<$type>(),
                )*]
            }

            $vis fn read(params: &$($life)? $crate::Params) -> Self {
                Self { $($field: params.read(stringify!($field)),)* }
            }
        }
    };
}

/// Gives the values of an enum the words by which a pipeline chooses them, as in
/// `words!(Outside { Hold = "hold", Zero = "zero" });`. A parameter without a value is read as the first.
#[macro_export]
macro_rules! words {
    ($name:ty { $first:ident = $word:literal $(, $more:ident = $others:literal)* $(,)? }) => {
        impl $crate::kind::ParamWord for $name {
            const FIRST: Self = Self::$first;
            const WORDS: &'static [&'static str] = &[$word $(, $others)*];

            fn word(self) -> &'static str {
                match self {
                    Self::$first => $word,
                    $(Self::$more => $others,)*
                }
            }

            fn of(word: &str) -> Option<Self> {
                match word {
                    $word => Some(Self::$first),
                    $($others => Some(Self::$more),)*
                    _ => None,
                }
            }
        }
    };
}

/// A choice of words; see [`words!`](crate::words).
pub trait ParamWord: Sized {
    /// The value of the first word.
    const FIRST: Self;
    /// All words.
    const WORDS: &'static [&'static str];

    /// Returns the word of a value.
    fn word(self) -> &'static str;

    /// Returns the value of a word.
    fn of(word: &str) -> Option<Self>;
}

/// A type that a parameter can be read as.
pub trait FromParam<'a>: Sized {
    /// Returns what is read if there is no value.
    fn absent() -> Self;

    /// Returns true if every value that `ty` accepts can be read.
    fn fits(ty: &ParamType) -> bool;

    /// Reads a value. Returns none if the value is of another type.
    fn from_value(value: &'a Value) -> Option<Self>;
}

impl ParamSpec {
    /// One of the words of a type, with a default.
    pub fn word<W: ParamWord>(name: &'static str, default: W, about: &'static str) -> Self {
        Self::choice(name, default.word(), W::WORDS, about)
    }

    /// Says which type it is read as.
    #[must_use]
    pub fn read_as<'a, T: FromParam<'a>>(mut self) -> Self {
        self.typed = T::fits(&self.ty);
        self
    }
}

impl Params {
    /// Reads the value of `name` as the type that the kind gives it; see [`params!`](crate::params).
    pub fn read<'a, T: FromParam<'a>>(&'a self, name: &str) -> T {
        let value = self.get(name).and_then(T::from_value);
        value.unwrap_or_else(T::absent)
    }
}

/// Reads types that have a default value.
macro_rules! reads {
    ($($type:ty: $accepted:pat $(if $guard:expr)? => $read:expr;)*) => {$(
        impl<'a> FromParam<'a> for $type {
            fn absent() -> Self {
                Self::default()
            }

            fn fits(ty: &ParamType) -> bool {
                matches!(ty, $accepted $(if $guard)?)
            }

            fn from_value(value: &'a Value) -> Option<Self> {
                $read(value)
            }
        }
    )*};
}

reads! {
    bool: ParamType::Bool => |value: &Value| match value {
        Value::Bool(on) => Some(*on),
        _ => None,
    };
    i64: ParamType::Int { .. } => Value::as_int;
    usize: ParamType::Int { min: 0.., .. } => |value: &Value| usize::try_from(value.as_int()?).ok();
    f64: ParamType::Float { .. } | ParamType::Int { .. } => Value::as_float;
    &'a str: ParamType::Str | ParamType::Choice(_) | ParamType::Path | ParamType::Glob => Value::as_str;
}

impl<'a> FromParam<'a> for &'a Path {
    fn absent() -> Self {
        Path::new("")
    }

    fn fits(ty: &ParamType) -> bool {
        *ty == ParamType::Path
    }

    fn from_value(value: &'a Value) -> Option<Self> {
        value.as_str().map(Path::new)
    }
}

impl<'a> FromParam<'a> for &'a Value {
    fn absent() -> Self {
        &Value::Null
    }

    fn fits(_: &ParamType) -> bool {
        true
    }

    fn from_value(value: &'a Value) -> Option<Self> {
        Some(value)
    }
}

/// A list of texts; a single text counts as a list of one.
impl<'a> FromParam<'a> for Vec<&'a str> {
    fn absent() -> Self {
        Vec::new()
    }

    fn fits(ty: &ParamType) -> bool {
        match ty {
            ParamType::List(ty) => <&str>::fits(ty),
            ParamType::OneOf(all) => all.iter().all(Self::fits),
            ty => <&str>::fits(ty),
        }
    }

    fn from_value(value: &'a Value) -> Option<Self> {
        match value {
            Value::List(items) => items.iter().map(Value::as_str).collect(),
            one => Some(vec![one.as_str()?]),
        }
    }
}

/// A table: in the order of its keys, or of the pipeline where that counts.
impl<'a, T: FromParam<'a>> FromParam<'a> for Vec<(&'a str, T)> {
    fn absent() -> Self {
        Vec::new()
    }

    fn fits(ty: &ParamType) -> bool {
        matches!(ty, ParamType::Map(ty) | ParamType::Ordered(ty) if T::fits(ty))
    }

    fn from_value(value: &'a Value) -> Option<Self> {
        let pair = |key: &'a str, value| Some((key, T::from_value(value)?));
        match value {
            Value::Map(entries) => entries
                .iter()
                .map(|(key, value)| pair(key, value))
                .collect(),
            Value::List(pairs) => {
                let each = pairs.iter().map(|item| match item {
                    Value::List(item) => match item.as_slice() {
                        [Value::Str(key), value] => pair(key, value),
                        _ => None,
                    },
                    _ => None,
                });
                each.collect()
            }
            _ => None,
        }
    }
}

impl<'a, T: FromParam<'a>> FromParam<'a> for Option<T> {
    fn absent() -> Self {
        None
    }

    fn fits(ty: &ParamType) -> bool {
        T::fits(ty)
    }

    fn from_value(value: &'a Value) -> Option<Self> {
        T::from_value(value).map(Some)
    }
}

impl<'a, W: ParamWord> FromParam<'a> for W {
    fn absent() -> Self {
        W::FIRST
    }

    fn fits(ty: &ParamType) -> bool {
        *ty == ParamType::Choice(W::WORDS)
    }

    fn from_value(value: &'a Value) -> Option<Self> {
        W::of(value.as_str()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Side {
        Left,
        Right,
    }

    crate::words!(Side { Left = "left", Right = "right" });

    crate::params! {
        struct SideParams<'a> {
            side: Side = word(Side::Right, "Which side.");
            least: usize = new(ParamType::Int { min: -1, max: 1 }, "Negative too.");
            names: Option<Vec<&'a str>> = new(ParamType::Str, "One or many.").optional();
        }
    }

    #[test]
    fn a_type_without_room_is_noticed() {
        let typed: Vec<bool> = SideParams::specs().iter().map(|spec| spec.typed).collect();
        assert_eq!(typed, [true, false, true]);
        assert!(!ParamSpec::bool("by_hand", true, "No type.").typed);
    }

    #[test]
    fn what_has_no_value_is_read_as_absent() {
        let mut params = Params::default();
        let read = SideParams::read(&params);
        assert_eq!((read.side, read.least, read.names), (Side::Left, 0, None));
        for (spec, value) in SideParams::specs().iter().zip(["right", "1", "a"]) {
            params.insert(spec, value.into(), None);
        }
        let read = SideParams::read(&params);
        assert_eq!((read.side, read.names), (Side::Right, Some(vec!["a"])));
        assert_eq!(read.least, 0, "a text is no number");
    }
}

//! Columns as the types that this program computes with, whatever type their writer chose.
//!
//! A text that is not a number, or a number that the type cannot hold, is an error and never a null.

use std::fmt::Display;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, OffsetSizeTrait, PrimitiveArray, StringArray, new_null_array};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use arrow_select::take::take;

/// Returns a column as `to`: a text, a 32-bit or 64-bit float, or a 64-bit whole number.
///
/// # Errors
/// If the types have nothing to do with each other, or `to` cannot hold a value.
pub(crate) fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        (from, to) if from == to => Ok(array.clone()),
        (DataType::Null, to) => Ok(new_null_array(to, array.len())),
        (DataType::Dictionary(..), to) => {
            let dictionary = array.as_any_dictionary();
            convert(&take(dictionary.values(), dictionary.keys(), None)?, to)
        }
        (_, DataType::Utf8) => Ok(Arc::new(texts(array)?)),
        (_, DataType::Float64) => Ok(Arc::new(numbers::<Float64Type>(array)?)),
        (_, DataType::Float32) => Ok(Arc::new(numbers::<Float32Type>(array)?)),
        (_, DataType::Int64) => Ok(Arc::new(numbers::<Int64Type>(array)?)),
        (from, to) => Err(no_way(from, to)),
    }
}

/// Returns the parts of a column of lists: the bounds of the rows (one more than there are rows) in the
/// values, and the values. `None` if it holds no lists.
pub(crate) fn list_parts(array: &ArrayRef) -> Option<(Vec<usize>, ArrayRef)> {
    fn parts<O: OffsetSizeTrait>(array: &ArrayRef) -> (Vec<usize>, ArrayRef) {
        let list = array.as_list::<O>();
        let bounds = list.offsets().iter().map(|offset| offset.as_usize());
        (bounds.collect(), list.values().clone())
    }
    match array.data_type() {
        DataType::List(_) => Some(parts::<i32>(array)),
        DataType::LargeList(_) => Some(parts::<i64>(array)),
        DataType::FixedSizeList(..) => {
            let list = array.as_fixed_size_list();
            let length = list.value_length().max(0) as usize;
            let bounds = (0..=list.len()).map(|row| row * length).collect();
            Some((bounds, list.values().clone()))
        }
        _ => None,
    }
}

/// Spells a float with the fewest digits that give it back: `0.1`, `5.0`, `1e-7`, `1e16`.
fn spelled<T: serde::Serialize + Copy + Into<f64>>(value: T) -> String {
    let wide: f64 = value.into();
    match serde_json::to_string(&value) {
        Ok(text) if wide.is_finite() => text.replace("e+", "e"),
        _ if wide.is_nan() => "NaN".to_owned(),
        _ => wide.to_string(),
    }
}

fn no_way(from: &DataType, to: &DataType) -> ArrowError {
    ArrowError::CastError(format!("{from} cannot be converted to {to}"))
}

/// A type of numbers that columns are converted to.
trait Numbers: ArrowPrimitiveType {
    fn of_signed(value: i64) -> Self::Native;
    fn of_unsigned(value: u64) -> Option<Self::Native>;
    fn of_float(value: f64) -> Option<Self::Native>;
    /// Reads the text of a whole number or of a decimal fraction.
    fn of_text(text: &str) -> Option<Self::Native>;
    /// Reads the text of a decimal number.
    fn of_decimal(text: &str) -> Option<Self::Native> {
        Self::of_text(text)
    }
}

impl Numbers for Float64Type {
    fn of_signed(value: i64) -> f64 {
        value as f64
    }
    fn of_unsigned(value: u64) -> Option<f64> {
        Some(value as f64)
    }
    fn of_float(value: f64) -> Option<f64> {
        Some(value)
    }
    fn of_text(text: &str) -> Option<f64> {
        text.parse().ok()
    }
}

impl Numbers for Float32Type {
    fn of_signed(value: i64) -> f32 {
        value as f32
    }
    fn of_unsigned(value: u64) -> Option<f32> {
        Some(value as f32)
    }
    fn of_float(value: f64) -> Option<f32> {
        Some(value as f32)
    }
    fn of_text(text: &str) -> Option<f32> {
        text.parse().ok()
    }
}

impl Numbers for Int64Type {
    fn of_signed(value: i64) -> i64 {
        value
    }
    fn of_unsigned(value: u64) -> Option<i64> {
        value.try_into().ok()
    }
    /// Cuts off the fraction.
    fn of_float(value: f64) -> Option<i64> {
        let bound = (1_u64 << 63) as f64;
        (-bound..bound).contains(&value).then_some(value as i64)
    }
    fn of_text(text: &str) -> Option<i64> {
        text.parse().ok()
    }
    /// Cuts off the fraction.
    fn of_decimal(text: &str) -> Option<i64> {
        let whole = text.split('.').next()?;
        if whole == "-0" {
            Some(0)
        } else {
            whole.parse().ok()
        }
    }
}

fn numbers<T: Numbers>(array: &ArrayRef) -> Result<PrimitiveArray<T>, ArrowError> {
    match array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean().iter();
            let values = values.map(|value| value.map(|value| T::of_signed(value.into())));
            Ok(values.collect())
        }
        DataType::Int8 => whole::<Int8Type, T>(array),
        DataType::Int16 => whole::<Int16Type, T>(array),
        DataType::Int32 => whole::<Int32Type, T>(array),
        DataType::Int64 => whole::<Int64Type, T>(array),
        DataType::UInt8 => unsigned::<UInt8Type, T>(array),
        DataType::UInt16 => unsigned::<UInt16Type, T>(array),
        DataType::UInt32 => unsigned::<UInt32Type, T>(array),
        DataType::UInt64 => unsigned::<UInt64Type, T>(array),
        DataType::Float16 => float::<Float16Type, T>(array),
        DataType::Float32 => float::<Float32Type, T>(array),
        DataType::Float64 => float::<Float64Type, T>(array),
        DataType::Decimal32(..) => decimal::<Decimal32Type, T>(array),
        DataType::Decimal64(..) => decimal::<Decimal64Type, T>(array),
        DataType::Decimal128(..) => decimal::<Decimal128Type, T>(array),
        DataType::Decimal256(..) => decimal::<Decimal256Type, T>(array),
        DataType::Utf8 => parsed(array.as_string::<i32>()),
        DataType::LargeUtf8 => parsed(array.as_string::<i64>()),
        DataType::Utf8View => parsed(array.as_string_view()),
        from => Err(no_way(from, &T::DATA_TYPE)),
    }
}

fn out_of_range<T: Numbers>(value: impl Display) -> ArrowError {
    ArrowError::CastError(format!("{value} cannot be a value of {}", T::DATA_TYPE))
}

fn whole<F, T: Numbers>(array: &ArrayRef) -> Result<PrimitiveArray<T>, ArrowError>
where
    F: ArrowPrimitiveType<Native: Into<i64>>,
{
    Ok(array
        .as_primitive::<F>()
        .unary(|value| T::of_signed(value.into())))
}

fn unsigned<F, T: Numbers>(array: &ArrayRef) -> Result<PrimitiveArray<T>, ArrowError>
where
    F: ArrowPrimitiveType<Native: Into<u64>>,
{
    let values = array.as_primitive::<F>();
    values.try_unary(|value| {
        let value = value.into();
        T::of_unsigned(value).ok_or_else(|| out_of_range::<T>(value))
    })
}

fn float<F, T: Numbers>(array: &ArrayRef) -> Result<PrimitiveArray<T>, ArrowError>
where
    F: ArrowPrimitiveType<Native: Into<f64>>,
{
    let values = array.as_primitive::<F>();
    values.try_unary(|value| {
        let value = value.into();
        T::of_float(value).ok_or_else(|| out_of_range::<T>(value))
    })
}

/// Goes by the digits, so that a decimal is rounded once.
fn decimal<F: DecimalType + ArrowPrimitiveType, T: Numbers>(
    array: &ArrayRef,
) -> Result<PrimitiveArray<T>, ArrowError> {
    let values = array.as_primitive::<F>();
    let texts =
        (0..values.len()).map(|row| values.is_valid(row).then(|| values.value_as_string(row)));
    let value = |text: String| T::of_decimal(&text).ok_or_else(|| out_of_range::<T>(text));
    texts.map(|text| text.map(value).transpose()).collect()
}

fn parsed<'a, T: Numbers>(
    texts: impl IntoIterator<Item = Option<&'a str>>,
) -> Result<PrimitiveArray<T>, ArrowError> {
    let value = |text: &str| {
        T::of_text(text.trim()).ok_or_else(|| {
            let to = T::DATA_TYPE;
            ArrowError::CastError(format!("`{text}` is not a value of {to}"))
        })
    };
    texts
        .into_iter()
        .map(|text| text.map(value).transpose())
        .collect()
}

fn texts(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    Ok(match array.data_type() {
        DataType::Boolean => said(array.as_boolean()),
        DataType::Int8 => said(array.as_primitive::<Int8Type>()),
        DataType::Int16 => said(array.as_primitive::<Int16Type>()),
        DataType::Int32 => said(array.as_primitive::<Int32Type>()),
        DataType::Int64 => said(array.as_primitive::<Int64Type>()),
        DataType::UInt8 => said(array.as_primitive::<UInt8Type>()),
        DataType::UInt16 => said(array.as_primitive::<UInt16Type>()),
        DataType::UInt32 => said(array.as_primitive::<UInt32Type>()),
        DataType::UInt64 => said(array.as_primitive::<UInt64Type>()),
        DataType::Float16 => said(array.as_primitive::<Float16Type>()),
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>().iter();
            values.map(|value| value.map(spelled)).collect()
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().iter();
            values.map(|value| value.map(spelled)).collect()
        }
        DataType::Decimal32(..) => digits::<Decimal32Type>(array),
        DataType::Decimal64(..) => digits::<Decimal64Type>(array),
        DataType::Decimal128(..) => digits::<Decimal128Type>(array),
        DataType::Decimal256(..) => digits::<Decimal256Type>(array),
        DataType::LargeUtf8 => said(array.as_string::<i64>()),
        DataType::Utf8View => said(array.as_string_view()),
        DataType::Binary => utf8(array.as_binary::<i32>())?,
        DataType::LargeBinary => utf8(array.as_binary::<i64>())?,
        DataType::BinaryView => utf8(array.as_binary_view())?,
        from if from.is_temporal() => moments(array)?,
        from => return Err(no_way(from, &DataType::Utf8)),
    })
}

fn said<T: ToString>(values: impl IntoIterator<Item = Option<T>>) -> StringArray {
    let values = values.into_iter();
    values
        .map(|value| value.map(|value| value.to_string()))
        .collect()
}

fn digits<F: DecimalType + ArrowPrimitiveType>(array: &ArrayRef) -> StringArray {
    let values = array.as_primitive::<F>();
    let text = |row| values.is_valid(row).then(|| values.value_as_string(row));
    (0..values.len()).map(text).collect()
}

fn utf8<'a>(values: impl IntoIterator<Item = Option<&'a [u8]>>) -> Result<StringArray, ArrowError> {
    let text = |bytes: &'a [u8]| {
        str::from_utf8(bytes).map_err(|error| {
            ArrowError::CastError(format!("some bytes are not a text in UTF-8: {error}"))
        })
    };
    values
        .into_iter()
        .map(|bytes| bytes.map(text).transpose())
        .collect()
}

/// Dates and times as ISO 8601, in UTC where the column has a time zone.
fn moments(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    macro_rules! each {
        ($kind:ty, $read:ident, $zone:expr) => {{
            let values = array.as_primitive::<$kind>();
            let text = |row| match values.is_valid(row) {
                true => match values.$read(row) {
                    Some(moment) => Ok(Some(format!("{moment:?}{}", $zone))),
                    None => Err(ArrowError::CastError(format!(
                        "{} is out of the range of {}",
                        values.value(row),
                        array.data_type()
                    ))),
                },
                false => Ok(None),
            };
            (0..values.len()).map(text).collect()
        }};
    }
    let zone = match array.data_type() {
        DataType::Timestamp(_, Some(_)) => "Z",
        _ => "",
    };
    match array.data_type() {
        DataType::Date32 => each!(Date32Type, value_as_date, ""),
        DataType::Date64 => each!(Date64Type, value_as_datetime, ""),
        DataType::Time32(TimeUnit::Second) => each!(Time32SecondType, value_as_time, ""),
        DataType::Time32(_) => each!(Time32MillisecondType, value_as_time, ""),
        DataType::Time64(TimeUnit::Microsecond) => each!(Time64MicrosecondType, value_as_time, ""),
        DataType::Time64(_) => each!(Time64NanosecondType, value_as_time, ""),
        DataType::Timestamp(TimeUnit::Second, _) => {
            each!(TimestampSecondType, value_as_datetime, zone)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            each!(TimestampMillisecondType, value_as_datetime, zone)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            each!(TimestampMicrosecondType, value_as_datetime, zone)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            each!(TimestampNanosecondType, value_as_datetime, zone)
        }
        from => Err(no_way(from, &DataType::Utf8)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
        Float64Array, Int32Array, Int64Array, LargeStringArray, StringViewArray,
        TimestampMicrosecondArray, UInt64Array,
    };

    /// The texts of a column as `to`, with `-` for a null; or the error.
    fn said(array: impl Array + 'static, to: &DataType) -> String {
        let array: ArrayRef = Arc::new(array);
        match convert(&array, to).and_then(|array| convert(&array, &DataType::Utf8)) {
            Ok(texts) => {
                let texts = texts.as_string::<i32>().iter();
                let texts: Vec<&str> = texts.map(|text| text.unwrap_or("-")).collect();
                texts.join(" ")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_type_of_numbers_becomes_floats() {
        let to = DataType::Float64;
        let ints = vec![None, Some(-1), Some(i32::MAX)];
        assert_eq!(said(Int32Array::from(ints), &to), "- -1.0 2147483647.0");
        let wide = UInt64Array::from(vec![u64::MAX, 3]);
        assert_eq!(said(wide, &to), "1.8446744073709552e19 3.0");
        let narrow = Float32Array::from(vec![Some(0.1), None, Some(f32::NAN)]);
        assert_eq!(said(narrow, &to), "0.10000000149011612 - NaN");
        let words = BooleanArray::from(vec![Some(true), None, Some(false)]);
        assert_eq!(said(words, &to), "1.0 - 0.0");
        let texts = StringArray::from(vec![" 2 ", "1e-7", "-inf"]);
        assert_eq!(said(texts, &to), "2.0 1e-7 -inf");
    }

    #[test]
    fn a_decimal_is_rounded_once() {
        let decimals = |values: Vec<i128>, scale| {
            let decimals = Decimal128Array::from(values);
            decimals.with_precision_and_scale(38, scale).unwrap()
        };
        let some = decimals(vec![12345, -5, 0], 2);
        assert_eq!(said(some.clone(), &DataType::Float64), "123.45 -0.05 0.0");
        assert_eq!(said(some.clone(), &DataType::Utf8), "123.45 -0.05 0.00");
        assert_eq!(said(some, &DataType::Int64), "123 0 0");
        let long = decimals(vec![9_007_199_254_740_993_000], 18);
        assert_eq!(said(long, &DataType::Float64), "9.007199254740993");
    }

    #[test]
    fn what_whole_numbers_cannot_hold_is_an_error() {
        let to = DataType::Int64;
        let floats = Float64Array::from(vec![Some(-2.9), None, Some(7.0)]);
        assert_eq!(said(floats, &to), "-2 - 7");
        for value in [f64::NAN, f64::INFINITY, 9.3e18, -9.3e18] {
            let error = said(Float64Array::from(vec![value]), &to);
            assert!(error.contains("cannot be a value of Int64"), "{error}");
        }
        let error = said(UInt64Array::from(vec![1 << 63]), &to);
        assert!(error.contains("9223372036854775808 cannot be"), "{error}");
        // What lies behind a null is no value.
        let hidden = UInt64Array::new(vec![u64::MAX].into(), Some(vec![false].into()));
        assert_eq!(said(hidden, &to), "-");
    }

    #[test]
    fn a_text_that_is_no_number_is_an_error() {
        for text in ["far", "", "1e", "0x1", "1_000"] {
            let error = said(StringArray::from(vec![text]), &DataType::Float64);
            assert!(error.ends_with(&format!("`{text}` is not a value of Float64")));
        }
        let error = said(StringArray::from(vec!["12.0"]), &DataType::Int64);
        assert!(error.ends_with("`12.0` is not a value of Int64"), "{error}");
    }

    #[test]
    fn texts_come_from_whatever_names_objects() {
        let to = DataType::Utf8;
        assert_eq!(
            said(Int64Array::from(vec![i64::MIN]), &to),
            "-9223372036854775808"
        );
        assert_eq!(
            said(Float32Array::from(vec![0.1, 1e-7, 5.0]), &to),
            "0.1 1e-7 5.0"
        );
        assert_eq!(
            said(LargeStringArray::from(vec![Some("a"), None]), &to),
            "a -"
        );
        assert_eq!(said(StringViewArray::from(vec!["a"]), &to), "a");
        let dictionary: DictionaryArray<Int8Type> = vec![Some("b"), None, Some("a"), Some("b")]
            .into_iter()
            .collect();
        assert_eq!(said(dictionary, &to), "b - a b");
        assert_eq!(said(BinaryArray::from(vec![b"ab".as_slice()]), &to), "ab");
        let error = said(BinaryArray::from(vec![[255].as_slice()]), &to);
        assert!(error.contains("not a text in UTF-8"), "{error}");
    }

    #[test]
    fn moments_are_texts_and_no_numbers() {
        let to = DataType::Utf8;
        assert_eq!(
            said(Date32Array::from(vec![Some(-1), None]), &to),
            "1969-12-31 -"
        );
        let moments = TimestampMicrosecondArray::from(vec![1_700_000_000_000_000, 1]);
        let utc = moments.clone().with_timezone("UTC");
        assert_eq!(
            said(utc, &to),
            "2023-11-14T22:13:20Z 1970-01-01T00:00:00.000001Z"
        );
        assert_eq!(
            said(moments.clone(), &to),
            "2023-11-14T22:13:20 1970-01-01T00:00:00.000001"
        );
        // Nobody means microseconds since 1970 where a Julian date is expected.
        let error = said(moments, &DataType::Float64);
        assert!(error.contains("cannot be converted to Float64"), "{error}");
    }
}

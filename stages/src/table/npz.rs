//! NumPy archives: a zip file of arrays, each in NumPy's format.
//!
//! Source: NumPy Enhancement Proposal 1, "A simple file format for NumPy arrays".

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use flow_engine::StageError;

use super::{open, schema_error, sniff};

/// The size of the largest array that is accepted, in bytes.
const MAX_BYTES: u64 = 16 << 30;

/// One array.
pub struct NpyArray {
    /// Its name in the archive, without `.npy`.
    pub name: String,
    /// Its dimensions.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: NpyValues,
}

/// Values of an array.
pub enum NpyValues {
    /// Numbers or truth values that a 64-bit float represents exactly.
    Numbers(Vec<f64>),
    /// Whole numbers of 64 bits, which a 64-bit float may not represent exactly.
    Whole(Vec<i128>),
    /// Texts.
    Texts(Vec<String>),
}

/// Reads all arrays of an archive, with their names.
///
/// # Errors
/// If the file cannot be opened (environment), or is not an archive of arrays of numbers and texts
/// (data).
pub fn read_npz(path: &Path) -> Result<Vec<NpyArray>, StageError> {
    let mut file = open(path)?;
    let mut head = Vec::new();
    file.by_ref().take(4096).read_to_end(&mut head)?;
    let listed = entries(&mut file)?;
    let bad = |error: zip::result::ZipError| sniff::not_binary("the file", "npz", &head, error);
    let mut archive = zip::ZipArchive::new(file).map_err(bad)?;
    // If several entries have one name, the reader keeps the last.
    if listed.is_some_and(|listed| listed > archive.len()) {
        return Err(StageError::data(
            "flow::data::column_twice",
            "the npz file has two arrays of one name",
        )
        .help("save the arrays again, each under a name of its own"));
    }
    let mut arrays = Vec::new();
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(bad)?;
        let Some(name) = entry.name().strip_suffix(".npy").map(String::from) else {
            continue;
        };
        let wrong = |what| schema_error(format!("array `{name}` of the npz file {what}"));
        // The archive says how long the array is, so no more memory than that is used.
        let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        if entry.size() > MAX_BYTES || bytes.try_reserve_exact(size).is_err() {
            return Err(wrong(format!(
                "has {} bytes, more than fit into memory",
                entry.size()
            )));
        }
        entry
            .by_ref()
            .take(size as u64)
            .read_to_end(&mut bytes)
            .map_err(|error| sniff::not_binary("the file", "npz", &head, error))?;
        let (shape, values) = parse(&bytes).map_err(wrong)?;
        arrays.push(NpyArray {
            name,
            shape,
            values,
        });
    }
    arrays.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(arrays)
}

/// Returns how many entries the archive lists, if it says so in a number near its end.
fn entries(file: &mut File) -> std::io::Result<Option<usize>> {
    const RECORD: usize = 22;
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(
        length.saturating_sub((RECORD + 0xffff) as u64),
    ))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    file.rewind()?;
    let starts = tail.windows(RECORD).rev();
    let mut records = starts.filter(|record| record.starts_with(b"PK\x05\x06"));
    let entries = records
        .next()
        .map(|r| usize::from(u16::from_le_bytes([r[10], r[11]])));
    // Larger archives keep this number elsewhere.
    Ok(entries.filter(|&n| n != 0xffff))
}

fn parse(bytes: &[u8]) -> Result<(Vec<usize>, NpyValues), String> {
    let cut = || "is cut off".to_string();
    if bytes.get(..6) != Some(b"\x93NUMPY") {
        return Err("is not in NumPy's format".into());
    }
    let long = *bytes.get(6).ok_or_else(cut)? >= 2;
    let start = if long { 12 } else { 10 };
    let length = match long {
        true => u32::from_le_bytes(
            bytes
                .get(8..12)
                .ok_or_else(cut)?
                .try_into()
                .map_err(|_| cut())?,
        ) as usize,
        false => usize::from(u16::from_le_bytes(
            bytes
                .get(8..10)
                .ok_or_else(cut)?
                .try_into()
                .map_err(|_| cut())?,
        )),
    };
    let head = bytes.get(start..start + length).ok_or_else(cut)?;
    let head = std::str::from_utf8(head).map_err(|_| "has an unreadable header".to_string())?;
    let unreadable = || format!("has an unreadable header: {}", head.trim());
    let kind = after(head, "'descr':")
        .and_then(|t| t.split('\'').nth(1))
        .ok_or_else(unreadable)?;
    let fortran = after(head, "'fortran_order':")
        .ok_or_else(unreadable)?
        .starts_with("True");
    let dims = after(head, "'shape':")
        .and_then(|t| t.strip_prefix('(')?.split(')').next())
        .ok_or_else(unreadable)?;
    let shape: Vec<usize> = dims
        .split(',')
        .map(str::trim)
        .filter(|d| !d.is_empty())
        .map(|d| d.parse().map_err(|_| unreadable()))
        .collect::<Result<_, _>>()?;
    let count = shape
        .iter()
        .try_fold(1_usize, |n, &d| n.checked_mul(d))
        .ok_or_else(unreadable)?;
    let mut values = decode(&bytes[start + length..], kind, count)?;
    if fortran && shape.len() > 1 {
        let [rows, columns] = shape[..] else {
            return Err("is in Fortran order and has more than two dimensions".into());
        };
        let at = |i: usize| (i % columns) * rows + i / columns;
        match &mut values {
            NpyValues::Numbers(v) => *v = (0..v.len()).map(|i| v[at(i)]).collect(),
            NpyValues::Whole(v) => *v = (0..v.len()).map(|i| v[at(i)]).collect(),
            NpyValues::Texts(v) => *v = (0..v.len()).map(|i| v[at(i)].clone()).collect(),
        }
    }
    Ok((shape, values))
}

fn after<'a>(head: &'a str, key: &str) -> Option<&'a str> {
    head.find(key).map(|at| head[at + key.len()..].trim_start())
}

fn decode(data: &[u8], kind: &str, count: usize) -> Result<NpyValues, String> {
    let unknown = || {
        format!(
            "has the type `{kind}`; numbers and fixed-width texts in little-endian order are read"
        )
    };
    let (order, rest) = kind.split_at_checked(1).ok_or_else(unknown)?;
    let (letter, size) = rest.split_at_checked(1).ok_or_else(unknown)?;
    let size: usize = size.parse().map_err(|_| unknown())?;
    if order == ">" {
        return Err(unknown());
    }
    let width = if letter == "U" {
        size.checked_mul(4).ok_or_else(unknown)?
    } else {
        size
    };
    if width == 0 && count > 0 {
        return Err(format!(
            "has the type `{kind}` of no bytes for {count} values"
        ));
    }
    let data = width
        .checked_mul(count)
        .and_then(|n| data.get(..n))
        .ok_or("is cut off")?;
    Ok(match (letter, size) {
        ("f", 4) => NpyValues::Numbers(each(data, |b| f32::from_le_bytes(b).into())),
        ("f", 8) => NpyValues::Numbers(each(data, f64::from_le_bytes)),
        ("i", 1) => NpyValues::Numbers(each(data, |b| i8::from_le_bytes(b).into())),
        ("i", 2) => NpyValues::Numbers(each(data, |b| i16::from_le_bytes(b).into())),
        ("i", 4) => NpyValues::Numbers(each(data, |b| i32::from_le_bytes(b).into())),
        ("i", 8) => NpyValues::Whole(each(data, |b| i64::from_le_bytes(b).into())),
        ("u" | "b", 1) => NpyValues::Numbers(each(data, |b| u8::from_le_bytes(b).into())),
        ("u", 2) => NpyValues::Numbers(each(data, |b| u16::from_le_bytes(b).into())),
        ("u", 4) => NpyValues::Numbers(each(data, |b| u32::from_le_bytes(b).into())),
        ("u", 8) => NpyValues::Whole(each(data, |b| u64::from_le_bytes(b).into())),
        ("U", _) => texts(data, (width, count), wide)?,
        ("S", _) => texts(data, (width, count), narrow)?,
        _ => return Err(unknown()),
    })
}

/// Decodes numbers of `N` bytes each.
fn each<const N: usize, T>(data: &[u8], number: fn([u8; N]) -> T) -> Vec<T> {
    let (numbers, _) = data.as_chunks::<N>();
    numbers.iter().copied().map(number).collect()
}

/// Decodes texts of `width` bytes each.
fn texts(
    data: &[u8],
    (width, count): (usize, usize),
    text: fn(&[u8]) -> Option<String>,
) -> Result<NpyValues, String> {
    let all = (0..count).map(|i| text(&data[i * width..(i + 1) * width]));
    let all: Option<Vec<String>> = all.collect();
    all.map(NpyValues::Texts)
        .ok_or_else(|| "holds a text that is not Unicode".to_string())
}

/// Decodes a text of code points that ends with a zero.
fn wide(bytes: &[u8]) -> Option<String> {
    let points = bytes
        .chunks_exact(4)
        .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    points
        .take_while(|&point| point != 0)
        .map(char::from_u32)
        .collect()
}

/// Decodes a text of bytes that is padded with zeros.
fn narrow(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
    String::from_utf8(bytes[..end].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, shape: &str, fortran: bool, data: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let head =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((head.len() as u16).to_le_bytes());
        bytes.extend(head.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn numbers(bytes: &[u8]) -> Vec<f64> {
        match parse(bytes).unwrap().1 {
            NpyValues::Numbers(values) => values,
            NpyValues::Whole(values) => values.into_iter().map(|v| v as f64).collect(),
            NpyValues::Texts(_) => panic!("texts"),
        }
    }

    #[test]
    fn numbers_and_texts_of_all_orders_are_read() {
        let data: Vec<u8> = [1_f32, 2.0, 3.0, 4.0, 5.0, 6.0]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        assert_eq!(
            numbers(&npy("<f4", "(2, 3)", false, &data)),
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        );
        assert_eq!(
            numbers(&npy("<f4", "(2, 3)", true, &data)),
            [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]
        );
        assert_eq!(numbers(&npy("|b1", "(2,)", false, &[1, 0])), [1.0, 0.0]);
        let wide: Vec<u8> = "aü"
            .chars()
            .chain(['\0'])
            .flat_map(|c| (c as u32).to_le_bytes())
            .collect();
        let (shape, values) = parse(&npy("<U3", "(1,)", false, &wide)).unwrap();
        assert_eq!(shape, [1]);
        assert!(matches!(values, NpyValues::Texts(t) if t == ["aü"]));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let error = parse(&npy("|O", "(1,)", false, &[0; 8])).err().unwrap();
        assert!(error.contains("`|O`"), "{error}");
        assert!(parse(&npy("<f8", "(2,)", false, &[0; 8])).is_err());
        assert!(parse(b"PK").is_err());
        assert!(parse(&npy("<f8", "(99999999999999999999,)", false, &[])).is_err());
    }
}

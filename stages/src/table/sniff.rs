//! What a file is, by its first bytes, where its name or the pipeline says otherwise.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flow_engine::StageError;

/// What a file is, if it is no plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Gzip,
    Zstd,
    Bzip2,
    Xz,
    Zip,
    Parquet,
    Arrow,
    Npy,
    Fits,
    Hdf5,
    Utf16,
}

const HEADS: [(&[u8], Form); 12] = [
    (b"\x1f\x8b", Form::Gzip),
    (b"\x28\xb5\x2f\xfd", Form::Zstd),
    (b"BZh91AY&SY", Form::Bzip2),
    (b"\xfd7zXZ\0", Form::Xz),
    (b"PK\x03\x04", Form::Zip),
    (b"PAR1", Form::Parquet),
    (b"ARROW1", Form::Arrow),
    (b"\x93NUMPY", Form::Npy),
    (b"SIMPLE  =", Form::Fits),
    (b"\x89HDF", Form::Hdf5),
    (b"\xff\xfe", Form::Utf16),
    (b"\xfe\xff", Form::Utf16),
];

/// The form of a file that begins with `head`; none for what may be text.
pub(super) fn form(head: &[u8]) -> Option<Form> {
    let known = HEADS.iter().find(|(magic, _)| head.starts_with(magic));
    known.map(|(_, form)| *form)
}

/// True if `path` is a Parquet file, whatever it is called.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn is_parquet(path: &Path) -> Result<bool, StageError> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(|error| {
        StageError::environment(format!("cannot open {}: {error}", path.display()))
    })?;
    file.take(8).read_to_end(&mut head)?;
    Ok(form(&head) == Some(Form::Parquet))
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Form::Gzip => "compressed with gzip",
            Form::Zstd => "compressed with zstd",
            Form::Bzip2 => "compressed with bzip2",
            Form::Xz => "compressed with xz",
            Form::Zip => "a zip archive",
            Form::Parquet => "a Parquet file",
            Form::Arrow => "an Arrow file",
            Form::Npy => "a NumPy array",
            Form::Fits => "a FITS file",
            Form::Hdf5 => "an HDF5 file",
            Form::Utf16 => "UTF-16 text",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Form::Gzip => "unpack it with `gunzip`",
            Form::Zstd => "unpack it with `zstd -d`, or compress it with gzip, which is read",
            Form::Bzip2 => "unpack it with `bunzip2`, or compress it with gzip, which is read",
            Form::Xz => "unpack it with `unxz`, or compress it with gzip, which is read",
            Form::Zip => {
                "unpack it with `unzip`; NumPy's archives are read by `table`, format = \"npz\""
            }
            Form::Parquet => "format = \"parquet\"",
            Form::Npy => {
                "save it with `numpy.savez`, beside an array `object_id`, as format = \"npz\""
            }
            Form::Arrow | Form::Fits | Form::Hdf5 => {
                "convert it to Parquet, for instance with `pandas` or `astropy.table.Table`"
            }
            Form::Utf16 => "save it as UTF-8 text",
        }
    }
}

/// The error for a file that is read as text and is none.
pub(super) fn not_text(file: &str, form: Form) -> StageError {
    StageError::data(
        "flow::data::format",
        format!("{file} is {}, where CSV text is expected", form.name()),
    )
    .help(form.remedy())
}

/// The error for a file that is read as `expected` (Parquet, npz) and begins with `head`; `error` is what its reader says.
pub(super) fn not_binary(
    file: &str,
    expected: &str,
    head: &[u8],
    error: impl std::fmt::Display,
) -> StageError {
    let wrong = |what: &str| {
        let text = format!("{file} is {what}, where {expected} is expected");
        StageError::data("flow::data::format", text)
    };
    let text = |head: &[u8]| !head.is_empty() && !head.iter().any(|b| *b == 0 || *b >= 0xf8);
    match form(head) {
        Some(Form::Parquet) if expected == "Parquet" => {}
        Some(Form::Zip) if expected == "npz" => {}
        Some(form) => return wrong(form.name()).help(form.remedy()),
        None if text(head) => {
            return wrong("text").help("if it is CSV, say so where it is read: format = \"csv\"");
        }
        None => {}
    }
    super::schema_error(format!("{file} is not a readable {expected} file: {error}"))
}

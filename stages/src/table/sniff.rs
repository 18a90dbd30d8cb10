//! Tells the format of a file by its first bytes, whatever its name or the pipeline says.

use std::error::Error;
use std::io::Read;
use std::path::Path;

use flow_engine::StageError;

use super::open;

/// What a file is, if it is not plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileForm {
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

const HEADS: [(&[u8], FileForm); 12] = [
    (b"\x1f\x8b", FileForm::Gzip),
    (b"\x28\xb5\x2f\xfd", FileForm::Zstd),
    (b"BZh91AY&SY", FileForm::Bzip2),
    (b"\xfd7zXZ\0", FileForm::Xz),
    (b"PK\x03\x04", FileForm::Zip),
    (b"PAR1", FileForm::Parquet),
    (b"ARROW1", FileForm::Arrow),
    (b"\x93NUMPY", FileForm::Npy),
    (b"SIMPLE  =", FileForm::Fits),
    (b"\x89HDF", FileForm::Hdf5),
    (b"\xff\xfe", FileForm::Utf16),
    (b"\xfe\xff", FileForm::Utf16),
];

/// Returns the format of a file that begins with `head`; `None` if it may be text.
pub(super) fn form(head: &[u8]) -> Option<FileForm> {
    let known = HEADS.iter().find(|(magic, _)| head.starts_with(magic));
    known.map(|(_, form)| *form)
}

/// Returns true if `path` is a Parquet file, whatever its name.
///
/// # Errors
/// If the file cannot be opened.
pub(crate) fn is_parquet(path: &Path) -> Result<bool, StageError> {
    let mut head = Vec::new();
    let file = open(path)?;
    file.take(8).read_to_end(&mut head)?;
    Ok(form(&head) == Some(FileForm::Parquet))
}

impl FileForm {
    fn name(self) -> &'static str {
        match self {
            FileForm::Gzip => "compressed with gzip",
            FileForm::Zstd => "compressed with zstd",
            FileForm::Bzip2 => "compressed with bzip2",
            FileForm::Xz => "compressed with xz",
            FileForm::Zip => "a zip archive",
            FileForm::Parquet => "a Parquet file",
            FileForm::Arrow => "an Arrow file",
            FileForm::Npy => "a NumPy array",
            FileForm::Fits => "a FITS file",
            FileForm::Hdf5 => "an HDF5 file",
            FileForm::Utf16 => "UTF-16 text",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            FileForm::Gzip => "unpack it with `gunzip`",
            FileForm::Zstd => "unpack it with `zstd -d`, or compress it with gzip, which is read",
            FileForm::Bzip2 => "unpack it with `bunzip2`, or compress it with gzip, which is read",
            FileForm::Xz => "unpack it with `unxz`, or compress it with gzip, which is read",
            FileForm::Zip => {
                "unpack it with `unzip`; NumPy's archives are read by `table`, format = \"npz\""
            }
            FileForm::Parquet => "format = \"parquet\"",
            FileForm::Npy => {
                "save it with `numpy.savez`, beside an array `object_id`, as format = \"npz\""
            }
            FileForm::Arrow | FileForm::Fits | FileForm::Hdf5 => {
                "convert it to Parquet, for instance with `pandas` or `astropy.table.Table`"
            }
            FileForm::Utf16 => "save it as UTF-8 text",
        }
    }
}

/// The error for a file that is read as text but is not text.
pub(super) fn not_text(file: &str, form: FileForm) -> StageError {
    StageError::data(
        "flow::data::format",
        format!("{file} is {}, where CSV text is expected", form.name()),
    )
    .help(form.remedy())
}

/// The error for a file that is read as `expected` (Parquet, npz) but begins with `head`; `error` is
/// what the reader says of it.
pub(super) fn not_binary(
    file: &str,
    expected: &str,
    head: &[u8],
    error: impl Into<Box<dyn Error + Send + Sync>>,
) -> StageError {
    let wrong = |what: &str| {
        let text = format!("{file} is {what}, where {expected} is expected");
        StageError::data("flow::data::format", text)
    };
    let text = |head: &[u8]| !head.is_empty() && !head.iter().any(|b| *b == 0 || *b >= 0xf8);
    match form(head) {
        Some(FileForm::Parquet) if expected == "Parquet" => {}
        Some(FileForm::Zip) if expected == "npz" => {}
        Some(form) => return wrong(form.name()).help(form.remedy()),
        None if text(head) => {
            return wrong("text").help("if it is CSV, say so where it is read: format = \"csv\"");
        }
        None => {}
    }
    super::schema_error(format!("{file} is not a readable {expected} file")).because(error)
}

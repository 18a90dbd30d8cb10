//! Delimited text, streamed record by record: CSV with commas, semicolons or tabs, gzipped or not.

use std::error::Error;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use csv::{ByteRecord, Reader, ReaderBuilder};
use flate2::bufread::MultiGzDecoder;
use flow_engine::StageError;

use super::open;
use super::sniff::{self, FileForm};

/// The longest line that is accepted, in bytes. It also refuses a file of zeros, however small it is
/// when compressed.
const LONGEST: usize = 1 << 28;
/// The number of bytes that are read at a time.
const CHUNK: usize = 1 << 16;

/// A reader of the records of a file.
pub(crate) struct Records {
    /// The names of the columns.
    pub header: Vec<String>,
    /// The record that was read last.
    pub record: ByteRecord,
    file: String,
    reader: Reader<Lines<BufReader<Box<dyn Read>>>>,
    any: bool,
}

impl Records {
    /// Opens `path` and reads its header; messages call it `file`.
    ///
    /// # Errors
    /// If the file cannot be read, is empty, or is not text.
    pub fn open(path: &Path, file: &str) -> Result<Self, StageError> {
        let opened = open(path)?;
        let mut raw = BufReader::with_capacity(CHUNK, opened);
        let head = raw
            .fill_buf()
            .map_err(|error| unreadable(file, error.kind(), error))?;
        let text: Box<dyn Read> = match sniff::form(head) {
            None => Box::new(raw),
            Some(FileForm::Gzip) => Box::new(MultiGzDecoder::new(raw)),
            Some(other) => return Err(sniff::not_text(file, other)),
        };
        let mut text = BufReader::with_capacity(CHUNK, text);
        let head = text
            .fill_buf()
            .map_err(|error| unreadable(file, error.kind(), error))?;
        if let Some(other) = sniff::form(head) {
            return Err(sniff::not_text(&format!("what {file} unpacks to"), other));
        }
        let delimiter = delimiter(head);
        let lines = Lines::new(text, file)?;
        // The CSV reader skips a byte-order mark. Ragged rows are left to the caller to judge.
        let mut reader = ReaderBuilder::new()
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(lines);
        let header = reader.byte_headers().map_err(|error| broken(file, error))?;
        let header: Option<Vec<String>> = header
            .iter()
            .map(|name| Some(std::str::from_utf8(name).ok()?.trim().to_string()))
            .collect();
        let header = header.ok_or_else(|| {
            StageError::data(
                "flow::data::encoding",
                format!("the header of {file} is not UTF-8"),
            )
            .help("save the file as UTF-8 text")
        })?;
        if header.is_empty() {
            return Err(
                StageError::data("flow::data::empty", format!("{file} is empty"))
                    .help("a CSV file begins with a line of column names"),
            );
        }
        Ok(Self {
            file: file.into(),
            reader,
            header,
            record: ByteRecord::new(),
            any: false,
        })
    }

    /// Reads the next record and returns the number of its line.
    ///
    /// # Errors
    /// If the file ends after its header, cannot be read, or a `used` column or a ragged record spans
    /// lines: then a quote was not closed and has swallowed what follows.
    pub fn next(&mut self, used: &[usize]) -> Result<Option<u64>, StageError> {
        let more = self
            .reader
            .read_byte_record(&mut self.record)
            .map_err(|error| broken(&self.file, error))?;
        if !more && !self.any {
            return Err(StageError::data(
                "flow::data::empty",
                format!("{} has a header and no rows", self.file),
            ));
        }
        if !more {
            return Ok(None);
        }
        self.any = true;
        // Every record ends with a newline. The reader is now past it, unless a quote swallowed it too.
        // The position of the record itself does not count the empty lines that the reader skipped
        // before it.
        let spanned = memchr::memchr_iter(b'\n', self.record.as_slice()).count() as u64;
        let start = self.record.position().map_or(0, csv::Position::line);
        let line = self
            .reader
            .position()
            .line()
            .saturating_sub(1 + spanned)
            .max(start);
        let broken = |field: &[u8]| field.contains(&b'\n');
        if spanned > 0
            && (used.iter().filter_map(|&i| self.record.get(i)).any(broken) || self.is_ragged())
        {
            return Err(StageError::data(
                "flow::data::quote",
                format!(
                    "{}:{line}: a quote that opens here is not closed on its line",
                    self.file
                ),
            )
            .help("double a quote that is part of a value, or remove it"));
        }
        Ok(Some(line))
    }

    /// Returns true if the number of fields in the record differs from that in the header.
    pub fn is_ragged(&self) -> bool {
        self.record.len() != self.header.len()
    }
}

/// Returns the separator of the columns: a comma, unless the header has none but has semicolons or
/// tabs.
fn delimiter(head: &[u8]) -> u8 {
    let mut quoted = false;
    let header = head.iter().take_while(|&&byte| {
        quoted ^= byte == b'"';
        quoted || !matches!(byte, b'\n' | b'\r')
    });
    let (mut inside, mut counts) = (false, [0_usize; 3]);
    for &byte in header {
        inside ^= byte == b'"';
        if let Some(at) = b",;\t".iter().position(|&d| d == byte && !inside) {
            counts[at] += 1;
        }
    }
    match counts {
        [0, semicolons, tabs] if tabs > semicolons => b'\t',
        [0, semicolons, _] if semicolons > 0 => b';',
        _ => b',',
    }
}

/// Passes on a text so that every line ends with `\n`, including the last, so that lines can be
/// counted.
struct Lines<R> {
    inner: R,
    /// The last byte that was passed on; a newline before the first.
    last: u8,
    /// The number of bytes since the last newline.
    length: usize,
    /// True if `\r` alone ends lines.
    returns: bool,
}

impl<R: BufRead> Lines<R> {
    fn new(mut inner: R, file: &str) -> Result<Self, StageError> {
        let head = inner
            .fill_buf()
            .map_err(|error| unreadable(file, error.kind(), error))?;
        let returns = head.contains(&b'\r') && !head.contains(&b'\n');
        Ok(Self {
            inner,
            last: b'\n',
            length: 0,
            returns,
        })
    }

    fn give(&mut self, byte: u8, out: &mut [u8]) -> usize {
        out[0] = byte;
        self.last = byte;
        self.length = if byte == b'\n' { 0 } else { self.length + 1 };
        1
    }
}

impl<R: BufRead> Read for Lines<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.length > LONGEST {
            let text = format!("a line is longer than {} MiB", LONGEST >> 20);
            return Err(std::io::Error::new(ErrorKind::InvalidData, text));
        }
        let buffer = self.inner.fill_buf()?;
        let most = buffer.len().min(out.len());
        match memchr::memchr(b'\r', &buffer[..most]).unwrap_or(most) {
            0 if buffer.is_empty() && self.last == b'\n' => Ok(0),
            0 if buffer.is_empty() => Ok(self.give(b'\n', out)),
            0 => {
                self.inner.consume(1);
                if self.returns {
                    return Ok(self.give(b'\n', out));
                }
                match self.inner.fill_buf()?.first() {
                    Some(b'\n') => {
                        self.inner.consume(1);
                        Ok(self.give(b'\n', out))
                    }
                    _ => Ok(self.give(b'\r', out)),
                }
            }
            end => {
                let bytes = &buffer[..end];
                out[..end].copy_from_slice(bytes);
                self.last = bytes[end - 1];
                self.length = match memchr::memrchr(b'\n', bytes) {
                    Some(at) => end - at - 1,
                    None => self.length + end,
                };
                self.inner.consume(end);
                Ok(end)
            }
        }
    }
}

fn broken(file: &str, error: csv::Error) -> StageError {
    match error.kind() {
        csv::ErrorKind::Io(io) => unreadable(file, io.kind(), error),
        _ => StageError::data("flow::data::csv", file).because(error),
    }
}

/// Wraps an error: bad bytes are the fault of the file, and all other errors that of the machine.
fn unreadable(
    file: &str,
    kind: ErrorKind,
    error: impl Error + Send + Sync + 'static,
) -> StageError {
    match kind {
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof => {
            StageError::data("flow::data::csv", format!("{file} is broken"))
                .because(error)
                .help("if it is compressed, it may be cut off: fetch it again")
        }
        _ => StageError::environment(format!("cannot read {file}")).because(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn open(bytes: &[u8]) -> Result<Records, StageError> {
        let file = flow_testkit::files::file_of(bytes);
        Records::open(file.path(), "t.csv")
    }

    /// Lines and first fields.
    fn rows(bytes: &[u8]) -> Result<Vec<(u64, String)>, StageError> {
        let mut records = open(bytes)?;
        let mut rows = Vec::new();
        while let Some(line) = records.next(&[0])? {
            rows.push((
                line,
                String::from_utf8_lossy(&records.record[0]).into_owned(),
            ));
        }
        Ok(rows)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn lines_are_those_of_an_editor() {
        let expected = [(2, "a".to_string()), (5, "b".into()), (6, "c".into())];
        let text = "x,note\na,\"1\n2\"\n\nb,3\nc,4";
        for ends in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', ends);
            assert_eq!(rows(text.as_bytes()).unwrap(), expected, "{ends:?}");
            assert_eq!(rows(format!("{text}{ends}").as_bytes()).unwrap(), expected);
        }
        // The result does not depend on where one buffer ends and the next begins.
        let long = format!("x\r\n{}\r\nb\r\n", "a".repeat(CHUNK - 4));
        assert_eq!(rows(long.as_bytes()).unwrap()[1], (3, "b".into()));
    }

    #[test]
    fn the_header_says_what_separates_columns() {
        for (text, columns) in [
            ("a,b;c\n", 2),
            ("a;b;c\n", 3),
            ("a\tb\tc;d\n", 3),
            ("\"x,y\";b\n", 2),
            ("a\n", 1),
            ("a b\n1,2\n", 1),
        ] {
            assert_eq!(
                open(text.as_bytes()).unwrap().header.len(),
                columns,
                "{text}"
            );
        }
    }

    #[test]
    fn gzip_is_read_in_all_its_members() {
        let mut bytes = gzip(b"x\na\n");
        bytes.extend(gzip(b"b\n"));
        assert_eq!(rows(&bytes).unwrap(), [(2, "a".into()), (3, "b".into())]);
        let whole = gzip("x\n".repeat(50_000).as_bytes());
        let error = rows(&whole[..whole.len() - 12]).unwrap_err();
        assert!(error.message.contains("t.csv is broken"), "{error}");
        assert_eq!(error.fault, flow_engine::kind::Fault::Data);
    }

    #[test]
    fn other_formats_are_named() {
        for (head, name) in [
            (&b"PAR1\x15\x04"[..], "Parquet"),
            (b"\x28\xb5\x2f\xfd\x04", "zstd"),
            (b"PK\x03\x04....", "zip"),
            (b"SIMPLE  =                    T", "FITS"),
            (b"\xff\xfex\0,\0", "UTF-16"),
        ] {
            let error = open(head).err().unwrap();
            assert!(error.message.contains(name), "{name}: {error}");
            let error = open(&gzip(head)).err().unwrap();
            assert!(error.message.contains("unpacks to"), "{name}: {error}");
        }
    }
}

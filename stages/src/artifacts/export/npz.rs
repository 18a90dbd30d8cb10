//! NumPy archives: a zip file of arrays, which `numpy.load` reads.
//!
//! Source: NumPy Enhancement Proposal 1, "A simple file format for NumPy arrays". Nothing is compressed, so that the
//! bytes depend on the values alone.

use std::io::Write;

use flow_engine::StageError;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use super::broken;

/// Where the values of an array begin in its file is a multiple of this number of bytes.
const ALIGNED: usize = 64;

/// Writes the arrays of an archive, one after the other.
pub struct NpzWriter<W: Write>(ZipWriter<StreamWriter<W>>);

impl<W: Write> NpzWriter<W> {
    /// Returns an archive without arrays.
    pub fn new(to: W) -> Self {
        Self(ZipWriter::new_stream(to))
    }

    /// Adds texts.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn texts<S: AsRef<str>>(&mut self, name: &str, texts: &[S]) -> Result<(), StageError> {
        let points = |text: &S| text.as_ref().chars().count();
        // NumPy has no type for texts without any character.
        let width = texts.iter().map(points).max().unwrap_or(0).max(1);
        self.begin(name, &format!("<U{width}"), &[texts.len()], 4 * width)?;
        for text in texts {
            let letters = text.as_ref().chars().map(u32::from);
            let padded = letters.chain(std::iter::repeat(0)).take(width);
            let bytes: Vec<u8> = padded.flat_map(u32::to_le_bytes).collect();
            self.0.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Adds numbers of 32 bits. `rows` are the values along the first dimension of `shape`.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn numbers<'v>(
        &mut self,
        name: &str,
        shape: &[usize],
        rows: impl Iterator<Item = &'v [f32]>,
    ) -> Result<(), StageError> {
        self.begin(name, "<f4", shape, 4)?;
        for row in rows {
            let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.0.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Completes the archive.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn finish(self) -> Result<(), StageError> {
        self.0.finish().map_err(broken)?;
        Ok(())
    }

    /// Begins an array whose values have `size` bytes each.
    fn begin(
        &mut self,
        name: &str,
        descr: &str,
        shape: &[usize],
        size: usize,
    ) -> Result<(), StageError> {
        let bytes = shape.iter().map(|&n| n as u64).product::<u64>() * size as u64;
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(bytes > u64::from(u32::MAX) / 2);
        self.0
            .start_file(format!("{name}.npy"), options)
            .map_err(broken)?;
        let dims: String = shape.iter().map(|n| format!("{n}, ")).collect();
        let mut head =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({dims}), }}");
        let begun = b"\x93NUMPY\x01\x00".len() + 2;
        let used = begun + head.len() + 1;
        head.push_str(&" ".repeat(used.next_multiple_of(ALIGNED) - used));
        head.push('\n');
        self.0.write_all(b"\x93NUMPY\x01\x00")?;
        self.0.write_all(&(head.len() as u16).to_le_bytes())?;
        self.0.write_all(head.as_bytes())?;
        Ok(())
    }
}

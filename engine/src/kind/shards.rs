//! The shards of a stage in a packed form, since there may be a million of them and a run keeps them all.
//!
//! ```text
//! shard = label | item in its canonical encoding | file*        (each text after its length)
//! file  = role | path
//! ```

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use flow_cache::Value;

/// A file from outside the store. Role and digest go into the recipe, the path does not.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceFile {
    /// What the file is to the stage.
    pub role: String,
    /// Absolute path.
    pub path: PathBuf,
}

/// One shard of a source stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Shard {
    /// Its name in messages.
    pub label: String,
    /// What distinguishes it from others besides the contents of its files. It is part of the recipe.
    pub item: Value,
    /// Its files.
    pub files: Vec<SourceFile>,
}

/// The shards of a stage, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shards {
    bytes: Vec<u8>,
    /// Where each shard starts.
    starts: Vec<usize>,
}

/// One shard of [`Shards`].
#[derive(Clone, Copy, Debug)]
pub struct ShardRef<'a> {
    label: &'a str,
    item: &'a [u8],
    files: &'a [u8],
}

/// A source file, by reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FileRef<'a> {
    /// [`SourceFile::role`].
    pub role: &'a str,
    /// [`SourceFile::path`].
    pub path: &'a Path,
}

impl Shards {
    /// Returns an empty list with room for `count` shards.
    pub fn with_capacity(count: usize) -> Self {
        Self {
            bytes: Vec::new(),
            starts: Vec::with_capacity(count),
        }
    }

    /// Adds a shard at the end.
    pub fn push(&mut self, shard: &Shard) {
        self.starts.push(self.bytes.len());
        put(&mut self.bytes, shard.label.as_bytes());
        put(&mut self.bytes, &shard.item.encode());
        for file in &shard.files {
            put(&mut self.bytes, file.role.as_bytes());
            put(&mut self.bytes, file.path.as_os_str().as_bytes());
        }
    }

    /// Frees memory that was reserved for more shards.
    pub fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
        self.starts.shrink_to_fit();
    }

    /// Returns the number of shards.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Returns true if there are no shards.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Returns the shard of this index.
    pub fn get(&self, index: usize) -> Option<ShardRef<'_>> {
        let from = *self.starts.get(index)?;
        let to = self.starts.get(index + 1).copied();
        let mut rest = self.bytes.get(from..to.unwrap_or(self.bytes.len()))?;
        Some(ShardRef {
            label: text(take(&mut rest)?),
            item: take(&mut rest)?,
            files: rest,
        })
    }

    /// Returns all shards in order.
    pub fn iter(&self) -> impl Iterator<Item = ShardRef<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl FromIterator<Shard> for Shards {
    fn from_iter<T: IntoIterator<Item = Shard>>(shards: T) -> Self {
        let mut packed = Self::default();
        shards.into_iter().for_each(|shard| packed.push(&shard));
        packed
    }
}

impl<'a> ShardRef<'a> {
    /// [`Shard::label`].
    pub fn label(&self) -> &'a str {
        self.label
    }

    /// [`Shard::item`].
    pub fn item(&self) -> Value {
        Value::decode(self.item).unwrap_or(Value::Null)
    }

    /// [`Shard::item`] in its canonical encoding.
    pub fn encoded_item(&self) -> &'a [u8] {
        self.item
    }

    /// [`Shard::files`].
    pub fn files(&self) -> impl Iterator<Item = FileRef<'a>> + use<'a> {
        let mut rest = self.files;
        std::iter::from_fn(move || {
            Some(FileRef {
                role: text(take(&mut rest)?),
                path: Path::new(OsStr::from_bytes(take(&mut rest)?)),
            })
        })
    }

    /// Returns an owned copy of the shard.
    pub fn to_shard(&self) -> Shard {
        Shard {
            label: self.label.to_owned(),
            item: self.item(),
            files: self.files().map(FileRef::to_file).collect(),
        }
    }
}

impl FileRef<'_> {
    /// Returns an owned copy of the file.
    pub fn to_file(self) -> SourceFile {
        SourceFile {
            role: self.role.to_owned(),
            path: self.path.to_owned(),
        }
    }
}

impl<'a> From<&'a SourceFile> for FileRef<'a> {
    fn from(file: &'a SourceFile) -> Self {
        Self {
            role: &file.role,
            path: &file.path,
        }
    }
}

/// Writes the number of bytes, seven bits at a time from the lowest on, and then the bytes.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len();
    while length > 0x7f {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

/// Takes the next bytes that [`put`] wrote.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0;
    for shift in (0..).step_by(7) {
        let (first, after) = rest.split_first()?;
        *rest = after;
        length |= usize::from(first & 0x7f) << shift;
        if *first < 0x80 {
            break;
        }
    }
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

/// Returns bytes that were written from a text.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_back() {
        let file = |role: &str, path: &str| SourceFile {
            role: role.to_owned(),
            path: path.into(),
        };
        let shards = [
            Shard {
                label: String::new(),
                item: Value::Null,
                files: Vec::new(),
            },
            Shard {
                label: "i=1,band=ü".to_owned(),
                item: Value::map([("band", Value::from("ü")), ("i", Value::Int(-1))]),
                files: vec![
                    file("curves", "/a/b"),
                    file(&"long".repeat(50_000), ""),
                    file("", "/"),
                ],
            },
            Shard {
                label: "x".repeat(128),
                item: Value::List(Vec::new()),
                files: vec![file("curves", "/c")],
            },
        ];
        let packed: Shards = shards.iter().cloned().collect();
        assert_eq!((packed.len(), packed.is_empty()), (3, false));
        let back: Vec<Shard> = packed.iter().map(|shard| shard.to_shard()).collect();
        assert_eq!(back, shards);
        let second = packed.get(1).unwrap();
        assert_eq!(second.encoded_item(), shards[1].item.encode());
        assert_eq!(second.files().nth(2), Some((&shards[1].files[2]).into()));
        assert!(packed.get(3).is_none());
        assert!(Shards::default().is_empty());
    }
}

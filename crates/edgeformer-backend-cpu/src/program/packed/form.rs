//! The bytes of header and table.

use std::hash::Hasher;
use std::time::Duration;

use edgeformer_core::{FileStamp, PackedFile};
use twox_hash::XxHash64;

use super::SEED;

const VERSION: u32 = 1;
/// How panels are laid out ([`crate::kernels`]); a test fails where they change and this does not.
pub(super) const LAYOUT_VERSION: u32 = 1;
/// Bytes of the header.
pub(super) const HEADER: usize = 48;
/// Where the panels begin: at a huge page.
pub(super) const PANELS: usize = 2 << 20;
/// Bytes of the two counts of a table, of a file's stamp, of a tensor's hashes, of a hash.
const COUNTS: usize = 8;
const STAMP: usize = 24;
const HASHES: usize = 16;
const HASH: usize = 8;

/// What a file begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub layout_version: u32,
    pub fingerprint: u64,
    /// Bytes of the panels.
    pub panels: u64,
    /// Bytes of the table.
    pub table: u64,
}

impl Header {
    pub fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&PackedFile::MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.layout_version.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.fingerprint.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.panels.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.table.to_le_bytes());
        let hash = XxHash64::oneshot(SEED, &bytes[..40]);
        bytes[40..].copy_from_slice(&hash.to_le_bytes());
        bytes
    }

    /// The header of a file.
    ///
    /// # Errors
    /// If the file has none of ours, or is not as long as it says.
    pub fn of(file: &[u8]) -> Result<Self, String> {
        let mut from = Reader(file);
        match from.array() {
            Some(PackedFile::MAGIC) => {}
            _ => {
                return Err(
                    "it is no file of packed weights: it does not begin with EFPACKED".into()
                );
            }
        }
        let cut = || format!("it is cut short: {} bytes", file.len());
        let version = from.u32().ok_or_else(cut)?;
        if version != VERSION {
            return Err(format!("it has version {version}, this program reads version {VERSION}"));
        }
        let layout_version = from.u32().ok_or_else(cut)?;
        let fingerprint = from.u64().ok_or_else(cut)?;
        let panels = from.u64().ok_or_else(cut)?;
        let table = from.u64().ok_or_else(cut)?;
        if from.u64().ok_or_else(cut)? != XxHash64::oneshot(SEED, &file[..HEADER - HASH]) {
            return Err("its header is damaged".into());
        }
        let length = panels.checked_add(table).and_then(|rest| rest.checked_add(PANELS as u64));
        match length {
            Some(length) if length == file.len() as u64 => {}
            Some(length) => {
                return Err(format!("it has {} bytes and should have {length}", file.len()));
            }
            None => return Err("its header is damaged".into()),
        }
        Ok(Self { layout_version, fingerprint, panels, table })
    }
}

/// What stands behind the panels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    /// Of the files of the model.
    pub stamps: Vec<FileStamp>,
    /// Of the tensors, in the order of the plan.
    pub hashes: Vec<TensorHashes>,
    /// The plan as text.
    pub plan: String,
}

/// XXH64 of what a tensor is packed from and of what it is packed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TensorHashes {
    /// Of its bytes in the model's file.
    pub source: u64,
    /// Of its panels.
    pub panels: u64,
}

impl Table {
    /// Bytes of a table.
    pub fn bytes(tensors: usize, files: usize, plan: &str) -> usize {
        COUNTS + files * STAMP + tensors * HASHES + plan.len() + HASH
    }

    /// The table of a file with that header.
    pub fn to_bytes(&self, header: Header) -> Vec<u8> {
        let Self { stamps, hashes, plan } = self;
        let mut bytes = Vec::with_capacity(Self::bytes(hashes.len(), stamps.len(), plan));
        bytes.extend((hashes.len() as u32).to_le_bytes());
        bytes.extend((stamps.len() as u32).to_le_bytes());
        for stamp in stamps {
            let time = stamp.modified.unwrap_or_default();
            bytes.extend(stamp.bytes.to_le_bytes());
            bytes.extend(time.as_secs().to_le_bytes());
            bytes.extend(time.subsec_nanos().to_le_bytes());
            bytes.extend(u32::from(stamp.modified.is_some()).to_le_bytes());
        }
        for hashes in hashes {
            bytes.extend(hashes.source.to_le_bytes());
            bytes.extend(hashes.panels.to_le_bytes());
        }
        bytes.extend(plan.as_bytes());
        bytes.extend(Self::hash(header, &bytes).to_le_bytes());
        bytes
    }

    /// The table of a file whose header is `header`.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn of(bytes: &[u8], header: Header) -> Result<Self, String> {
        Self::read(bytes, header).ok_or_else(|| "its table is damaged".into())
    }

    fn read(bytes: &[u8], header: Header) -> Option<Self> {
        let (bytes, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH)?)?;
        if Reader(hash).u64()? != Self::hash(header, bytes) {
            return None;
        }
        let mut from = Reader(bytes);
        let (tensors, files) = (from.u32()? as usize, from.u32()? as usize);
        // No more is set aside than there are bytes.
        let needed = tensors.checked_mul(HASHES)?.checked_add(files.checked_mul(STAMP)?)?;
        if needed > from.0.len() {
            return None;
        }
        let stamps = (0..files).map(|_| from.stamp()).collect::<Option<_>>()?;
        let hashes = (0..tensors)
            .map(|_| Some(TensorHashes { source: from.u64()?, panels: from.u64()? }))
            .collect::<Option<_>>()?;
        let plan = String::from_utf8(from.0.to_vec()).ok()?;
        Some(Self { stamps, hashes, plan })
    }

    fn hash(header: Header, bytes: &[u8]) -> u64 {
        let mut hash = XxHash64::with_seed(SEED);
        hash.write(&header.to_bytes());
        hash.write(bytes);
        hash.finish()
    }
}

/// Bytes that are taken off piece by piece; `None` where there are not as many.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn stamp(&mut self) -> Option<FileStamp> {
        let bytes = self.u64()?;
        let (seconds, nanoseconds) = (self.u64()?, self.u32()?);
        let is_known = self.u32()? == 1;
        if nanoseconds >= 1_000_000_000 {
            return None;
        }
        let modified = is_known.then(|| Duration::new(seconds, nanoseconds));
        Some(FileStamp { bytes, modified })
    }
}

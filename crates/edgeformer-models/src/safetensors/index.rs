//! The index of a sharded model: which shard holds which tensor.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::folder::{Shard, Source};
use super::json::{self, Name};
use crate::error::quote;
use crate::{Error, Result};

/// Opens every shard that an index names, and checks that each tensor is where it says.
///
/// A shard is opened when its name comes first, so that nothing is kept of names that are not
/// there.
pub(super) fn read(
    path: &Path,
    index: &[u8],
    mut open: impl FnMut(&str) -> Result<(PathBuf, Source)>,
) -> Result<Vec<Shard>> {
    let mut shards: Vec<(String, Shard)> = Vec::new();
    let mut failure = None;
    let mut visit = |tensor: &str, file: &str| {
        place(path, &mut shards, &mut open, tensor, file).map_err(|error| failure = Some(error))
    };
    let parsed = json::parse(index, Document(&mut visit));
    if let Some(failure) = failure {
        return Err(failure);
    }
    parsed.map_err(|error| json::error(path, "index", &error))?;
    if shards.is_empty() {
        return Err(Error::format(path, "weight_map", "names no tensor: get the file again"));
    }
    check_apart(&shards)?;
    Ok(shards.into_iter().map(|(_, shard)| shard).collect())
}

/// Checks one entry of the index.
fn place(
    path: &Path,
    shards: &mut Vec<(String, Shard)>,
    open: &mut impl FnMut(&str) -> Result<(PathBuf, Source)>,
    tensor: &str,
    file: &str,
) -> Result<()> {
    let error = |problem| Error::format(path, format!("tensor {}", quote(tensor)), problem);
    let known = shards.iter().position(|(name, _)| name == file);
    let known = match known {
        Some(known) => known,
        None => {
            if !is_plain(file) {
                return Err(error(format!(
                    "shard {} is not a plain file name beside the index: get the index again",
                    quote(file)
                )));
            }
            let (path, source) = open(file)?;
            shards.push((file.to_owned(), Shard::read(path, source)?));
            shards.len() - 1
        }
    };
    if shards[known].1.entry(tensor).is_some() {
        return Ok(());
    }
    Err(error(format!("is not in shard {}: get the shards again", quote(file))))
}

/// Whether a name is that of a file in the folder, and nowhere else.
fn is_plain(file: &str) -> bool {
    let mut components = Path::new(file).components();
    let plain = matches!(components.next(), Some(Component::Normal(name)) if name == file);
    plain && components.next().is_none() && !file.contains(['/', '\\', '\0', ':'])
}

/// Whether no tensor is in two shards.
fn check_apart(shards: &[(String, Shard)]) -> Result<()> {
    for (place, (_, shard)) in shards.iter().enumerate() {
        for entry in shard.entries() {
            let Some((other, _)) = shards[..place].iter().find(|(_, s)| s.has(&entry.name)) else {
                continue;
            };
            return Err(Error::format(
                shard.path(),
                format!("tensor {}", quote(&entry.name)),
                format!("is also in shard {}: remove one of the two", quote(other)),
            ));
        }
    }
    Ok(())
}

/// Calls a function with tensor and file of every entry of the `weight_map`; stops when it fails.
struct Document<'a, F>(&'a mut F);

impl<'de, F: FnMut(&str, &str) -> Result<(), ()>> DeserializeSeed<'de> for Document<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, F: FnMut(&str, &str) -> Result<(), ()>> Visitor<'de> for Document<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an index with a weight_map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = false;
        while let Some(Name(key)) = map.next_key()? {
            if &*key != "weight_map" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if std::mem::replace(&mut seen, true) {
                return Err(de::Error::custom("weight_map is there twice"));
            }
            map.next_value_seed(WeightMap(self.0))?;
        }
        if seen { Ok(()) } else { Err(de::Error::custom("weight_map is missing")) }
    }
}

struct WeightMap<'a, F>(&'a mut F);

impl<'de, F: FnMut(&str, &str) -> Result<(), ()>> DeserializeSeed<'de> for WeightMap<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de, F: FnMut(&str, &str) -> Result<(), ()>> Visitor<'de> for WeightMap<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a weight_map from tensor to file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((Name(tensor), Name(file))) = map.next_entry()? {
            (self.0)(&tensor, &file).map_err(|()| de::Error::custom("the entry is wrong"))?;
        }
        Ok(())
    }
}

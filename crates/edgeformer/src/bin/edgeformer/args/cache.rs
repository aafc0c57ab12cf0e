use std::path::PathBuf;

use clap::Args;
use edgeformer::config::{ByteSize, WindowSetting};
use edgeformer::{CacheFormat, EvictionPolicy, LatentForm};
use serde::Serialize;

use super::values::{cache_format, eviction, latent_form, size, window};

/// What is kept of the past, and where.
#[derive(Debug, Default, Args, Serialize)]
pub struct CacheArgs {
    /// Tokens that a query sees: a number, the least and the most (64:512), or a file of
    /// tune-window [default: as the model says]
    #[arg(long, value_name = "N|MIN:MAX|FILE", value_parser = window)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowSetting>,
    /// First tokens that every query sees besides its window; text may then outgrow the context
    /// [default: 0]
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sinks: Option<usize>,
    /// Attend only the K full pages that could matter most [default: all]
    #[arg(long, value_name = "K")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attend_pages: Option<usize>,
    /// Drop entries that attention passes over: h2o or snapkv; loses quality [default: none]
    #[arg(long, value_name = "POLICY", value_parser = eviction)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evict: Option<EvictionPolicy>,
    /// Entries of a head that stay, with --evict
    #[arg(long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<usize>,
    /// Bytes of cache in memory, with --cache-cold or --cache-spill [default: what the memory
    /// budget leaves]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_budget: Option<ByteSize>,
    /// Keep old pages in this format when memory is short
    #[arg(long, value_name = "FORMAT", value_parser = cache_format)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_cold: Option<CacheFormat>,
    /// Move old pages to a file in this folder when memory is short; changes no bit of the answer
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_spill: Option<PathBuf>,
    /// How latent attention is computed: auto, absorbed, expanded [default: auto]
    #[arg(long, value_name = "FORM", value_parser = latent_form)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mla: Option<LatentForm>,
}

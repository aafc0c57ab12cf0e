use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AdapterSetting, ByteSize, SpeculateSetting, WindowSetting};
use crate::{CacheFormat, EvictionPolicy, LatentForm};

/// Settings of an engine and of text generation. Names and defaults are llama.cpp's where it has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// A GGUF file or a Hugging Face folder; none is the embedded model.
    pub model: Option<PathBuf>,
    /// Low-rank adapters of the model, each with its scale.
    pub adapter: Vec<AdapterSetting>,
    /// `auto`, a backend's name, or `BACKEND/DEVICE`.
    pub backend: String,
    /// Threads that compute; none lets the backend choose.
    pub threads: Option<usize>,
    /// Threads that read prompts; none is as [`threads`](Self::threads).
    pub threads_batch: Option<usize>,
    /// Whether what `tune` found for this machine and model is used where nothing is set.
    pub profile: bool,
    /// Folder of what is measured once; none is the user's cache folder.
    pub cache: Option<PathBuf>,
    /// Shared libraries with more backends, by their absolute paths. No settings file may say this.
    pub plugin: Vec<PathBuf>,
    /// SHA-256 digests, in hexadecimal: with any, a plugin must have one of them.
    pub plugin_digest: Vec<String>,
    /// An absolute folder, all libraries of which are plugins. No settings file may say this.
    pub plugin_dir: Option<PathBuf>,
    /// Instruction set of the CPU backend; none is the best one found.
    pub isa: Option<String>,
    /// Whether weights are used as the file holds them: slower, and nothing is packed at start.
    pub no_repack: bool,
    /// The file of packed weights; none is the one beside the model, if it is there.
    pub packed_file: Option<PathBuf>,
    /// Whether files of packed weights are ignored.
    pub no_packed_file: bool,
    /// Tokens that a sequence may hold; none is what the model was trained on, at most 4,096.
    pub ctx_size: Option<usize>,
    /// Rows of one step: the chunk in which prompts are processed; none is 512, with latent attention
    /// 1,024, less where memory is short.
    pub ubatch_size: Option<usize>,
    /// Sequences served at the same time.
    pub parallel: usize,
    /// Format of cached keys; none lets the command choose (f16, less where memory is short; for
    /// `logits` f32).
    pub cache_type_k: Option<CacheFormat>,
    /// Format of cached values; none as for keys.
    pub cache_type_v: Option<CacheFormat>,
    /// Tokens of a cache page.
    pub page_size: usize,
    /// How far back queries see; none is as the model says.
    pub window: Option<WindowSetting>,
    /// First tokens that every query sees besides its window; none is those of the window's file,
    /// else 0. Without a window it means one of all the context that they leave.
    pub sinks: Option<usize>,
    /// Full pages that a query attends at most; none is all.
    pub attend_pages: Option<usize>,
    /// Drops cached entries that attention passes over.
    pub evict: Option<EvictionPolicy>,
    /// Entries of a head that stay; with [`evict`](Self::evict).
    pub keep: Option<usize>,
    /// Bytes of cache pages that may be in memory; none is what the memory budget leaves.
    pub cache_budget: Option<ByteSize>,
    /// Format of pages far from the end of their sequence, beyond the cache budget.
    pub cache_cold: Option<CacheFormat>,
    /// A folder for a file that pages go to beyond the cache budget.
    pub cache_spill: Option<PathBuf>,
    /// Bytes that the process may have resident; none is what the system leaves.
    pub memory_budget: Option<ByteSize>,
    /// A file that a prompt's cache is restored from and saved to.
    pub prompt_cache: Option<PathBuf>,
    /// How multi-head latent attention is computed.
    pub mla: LatentForm,
    /// Whether tokens are guessed from the text so far and verified together.
    pub speculate: SpeculateSetting,
    /// A small model with the same vocabulary that guesses tokens instead.
    pub draft: Option<PathBuf>,
    /// Tokens guessed at a time at most; none is 16.
    pub draft_max: Option<usize>,
    /// Fewer guessed tokens than this are not worth verifying; none is 1.
    pub draft_min: Option<usize>,
    /// No progress and no statistics on stderr.
    pub quiet: bool,
    /// Seed of sampling; none draws one.
    pub seed: Option<u64>,
    /// Tokens to generate at most; none is until the context is full.
    pub max_tokens: Option<usize>,
    /// Divides the logits; 0 is greedy.
    pub temperature: f32,
    /// Keeps the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the smallest set of tokens with this probability; 1 keeps all.
    pub top_p: f32,
    /// Keeps tokens at least this share as likely as the likeliest; 0 keeps all.
    pub min_p: f32,
    /// Keeps the most typical tokens up to this probability; 1 keeps all.
    pub typical_p: f32,
    /// Divides the logits of recent tokens; 1 is off.
    pub repeat_penalty: f32,
    /// How many tokens are recent; 0 none, -1 all of the context.
    pub repeat_last_n: i64,
    /// Subtracted from the logits of tokens that occurred recently.
    pub presence_penalty: f32,
    /// Subtracted from the logits of recent tokens as often as they occurred.
    pub frequency_penalty: f32,
    /// Strength of the penalty on repeating sequences (DRY); 0 is off.
    pub dry_multiplier: f32,
    /// Base of DRY's growth with the length of the repetition.
    pub dry_base: f32,
    /// Repetitions up to this length cost nothing.
    pub dry_allowed_length: usize,
    /// How many tokens DRY looks back; 0 none, -1 all of the context.
    pub dry_penalty_last_n: i64,
    /// Generation goes on behind the end-of-text token.
    pub ignore_eos: bool,
    /// Texts at which generation stops; they are not part of the answer.
    pub stop: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: None,
            adapter: Vec::new(),
            backend: "auto".into(),
            plugin: Vec::new(),
            plugin_digest: Vec::new(),
            plugin_dir: None,
            threads: None,
            threads_batch: None,
            profile: true,
            cache: None,
            isa: None,
            no_repack: false,
            packed_file: None,
            no_packed_file: false,
            ctx_size: None,
            ubatch_size: None,
            parallel: 1,
            cache_type_k: None,
            cache_type_v: None,
            page_size: 64,
            window: None,
            sinks: None,
            attend_pages: None,
            evict: None,
            keep: None,
            cache_budget: None,
            cache_cold: None,
            cache_spill: None,
            memory_budget: None,
            prompt_cache: None,
            mla: LatentForm::Auto,
            speculate: SpeculateSetting::Off,
            draft: None,
            draft_max: None,
            draft_min: None,
            quiet: false,
            seed: None,
            max_tokens: None,
            temperature: 0.8,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            typical_p: 1.0,
            repeat_penalty: 1.0,
            repeat_last_n: 64,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            dry_multiplier: 0.0,
            dry_base: 1.75,
            dry_allowed_length: 2,
            dry_penalty_last_n: -1,
            ignore_eos: false,
            stop: Vec::new(),
        }
    }
}

//! What a command tells of speed and memory, on stderr.

use edgeformer::{
    CacheUsage, Config, Engine, EngineOptions, ModelSource, Stats, peak_resident_bytes,
};
use serde::Serialize;

use crate::failure::Failure;
use crate::progress::Working;
use crate::table;

/// Speed and memory of an answer.
#[derive(Debug, Serialize)]
pub struct Report {
    #[serde(flatten)]
    stats: Stats,
    prompt_tokens_per_second: f64,
    decode_tokens_per_second: f64,
    peak_resident_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<CacheUsage>,
}

impl Report {
    /// Speed and memory of an answer; with an explanation also what the cache takes.
    pub fn of(stats: Stats, engine: &Engine, explain: bool) -> Result<Self, Failure> {
        Ok(Self {
            stats,
            prompt_tokens_per_second: stats.prompt_tokens_per_second(),
            decode_tokens_per_second: stats.decode_tokens_per_second(),
            peak_resident_bytes: peak_resident_bytes(),
            cache: if explain { Some(engine.cache_usage()?) } else { None },
        })
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Stats { prompt_tokens, cached_tokens, generated_tokens, .. } = self.stats;
        let Stats { time_to_first_token, drafted_tokens, accepted_tokens, .. } = self.stats;
        write!(f, "prompt {prompt_tokens} tokens")?;
        if cached_tokens > 0 {
            write!(f, " ({cached_tokens} cached)")?;
        }
        write!(
            f,
            ", {:.1} tokens/s, first token after {time_to_first_token:.3} s; ",
            self.prompt_tokens_per_second
        )?;
        write!(
            f,
            "answer {generated_tokens} tokens, {:.1} tokens/s",
            self.decode_tokens_per_second
        )?;
        if drafted_tokens > 0 {
            write!(f, ", {accepted_tokens} of {drafted_tokens} guessed tokens right")?;
        }
        if let Some(bytes) = self.peak_resident_bytes {
            write!(f, "; peak {} resident", mebibytes(bytes))?;
        }
        let Some(cache) = &self.cache else { return Ok(()) };
        write!(
            f,
            "; cache {} in memory, {} spilled, {} retained",
            mebibytes(cache.bytes_resident),
            mebibytes(cache.bytes_spilled),
            mebibytes(cache.bytes_retained)
        )
    }
}

/// Bytes as people read them.
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Opens the model that the settings name, with progress, and says which backends were passed over.
pub fn open(config: &Config, options: &EngineOptions) -> Result<Engine, Failure> {
    let source = ModelSource::from_path(config.model.as_deref());
    let working = Working::on(format!("opening {source}"), config.quiet);
    let engine = Engine::open(&source, options)?;
    drop(working);
    engine.warnings().iter().for_each(|warning| eprintln!("warning: {warning}"));
    if !config.quiet {
        let plan = engine.plan();
        eprintln!("{} on {}, {} planned", plan.family, plan.backend, mebibytes(plan.total()));
        if let Some(concession) = plan.concession() {
            eprintln!("memory is short: {concession}");
        }
        if options.explain {
            eprint!("{}", table::explain(plan));
        }
        engine.refused().iter().for_each(|refusal| eprintln!("not {refusal}"));
        if let Some(excess) = plan.excess() {
            eprintln!(
                "warning: the plan exceeds available memory by {}: lower --ctx-size",
                mebibytes(excess)
            );
        }
    }
    Ok(engine)
}

//! The tokens that stand before and after a text.

use tokenizers::{Encoding, PostProcessor as _, PostProcessorWrapper, Token};

use super::config::{Config, TokenName};
use crate::text::tokenizer::Parts;
use crate::text::vocabulary::{Kind, Problem};

/// What the post-processor puts before and after a text: it processes one token that stands for
/// the text.
pub(super) fn around(
    processor: Option<&PostProcessorWrapper>,
) -> std::result::Result<(Vec<u32>, Vec<u32>), Problem> {
    const TEXT: u32 = u32::MAX;
    let Some(processor) = processor else { return Ok(Default::default()) };
    let text = Encoding::from_tokens(vec![Token::new(TEXT, String::new(), (0, 0))], 0);
    let processed = processor.process(text, None, true).map_err(|e| e.to_string())?;
    let ids = processed.get_ids();
    let at = ids.iter().position(|id| *id == TEXT).ok_or("leaves out the text")?;
    Ok((ids[..at].to_vec(), ids[at + 1..].to_vec()))
}

impl Parts {
    /// The marks as `tokenizer_config.json` names them. Its `add_bos_token` and `add_eos_token`,
    /// where given, overrule the post-processor.
    pub(super) fn apply(&mut self, config: &Config) {
        let id = |name: &Option<TokenName>| {
            name.as_ref().and_then(|name| self.vocabulary.id(name.text()))
        };
        self.bos = id(&config.bos_token).or(self.before.first().copied());
        self.eos = id(&config.eos_token).or_else(|| self.usual_end());
        set_mark(&mut self.before, self.bos, config.add_bos_token);
        set_mark(&mut self.after, self.eos, config.add_eos_token);
    }

    /// The end mark under its usual names, for files that do not say.
    fn usual_end(&self) -> Option<u32> {
        let names = ["</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>"];
        let ids = names.iter().filter_map(|name| self.vocabulary.id(name));
        ids.into_iter().find(|id| self.vocabulary.kind(*id).is_control())
    }

    pub(super) fn check_marks(&self) -> std::result::Result<(), Problem> {
        let unknown = |id: &&u32| self.vocabulary.kind(**id) == Kind::Absent;
        match self.before.iter().chain(&self.after).find(unknown) {
            Some(id) => Err(format!("adds token id {id}, which the vocabulary lacks")),
            None => Ok(()),
        }
    }
}

/// Adds or takes away one mark.
fn set_mark(marks: &mut Vec<u32>, mark: Option<u32>, wanted: Option<bool>) {
    let (Some(mark), Some(wanted)) = (mark, wanted) else { return };
    match wanted {
        true if !marks.contains(&mark) => marks.push(mark),
        true => {}
        false => marks.retain(|id| *id != mark),
    }
}

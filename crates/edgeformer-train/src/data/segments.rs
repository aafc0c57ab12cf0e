//! A record as text: what is learned told from what is given.

use edgeformer_models::text::{ChatTemplate, Message, Variables};

use super::records::{ASSISTANT, Record};
use crate::{Error, Result};

/// A piece of a record's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The text.
    pub text: String,
    /// Whether it is learned; else it is given, and masked in the loss.
    pub learn: bool,
}

/// What makes a prompt of messages.
pub trait Template {
    /// The text of messages; with `add_generation_prompt` it ends where an answer begins.
    ///
    /// # Errors
    /// If the template refuses the messages.
    fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String>;
}

impl Template for ChatTemplate {
    fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        Ok(Self::render(self, messages, add_generation_prompt, &Variables::new())?)
    }
}

impl Record {
    /// The record's text in pieces, in order; none of them is empty.
    ///
    /// Conversations go through the template and need one. Questions go through it where there is
    /// one, else they read `Question: ...\nAnswer: ...`. Completions and texts are taken as they
    /// are, instructions get the text that Alpaca (Taori et al. 2023) puts around them. What a
    /// template writes holds marks: encode it with `parse_special` and without special tokens.
    ///
    /// # Errors
    /// If a conversation has no template, or the template refuses it.
    pub fn segments(&self, template: Option<&dyn Template>) -> Result<Vec<Segment>> {
        let mut segments = match (self, template) {
            (Self::Text { text, .. }, _) => vec![learned(text)],
            (Self::Completion { prompt, completion }, _) => {
                vec![given(prompt), learned(completion)]
            }
            (Self::Instruction { instruction, input, output }, _) => {
                vec![given(&alpaca(instruction, input)), learned(output)]
            }
            (Self::Question { question, answer }, None) => vec![
                given(&format!("Question: {question}\nAnswer:")),
                learned(&format!(" {answer}")),
            ],
            (Self::Question { question, answer }, Some(template)) => {
                let prompt = [Message::new("user", question)];
                conversation(&prompt, &[Message::new(ASSISTANT, answer)], template)?
            }
            (Self::Chat { prompt, completion }, Some(template)) => {
                conversation(prompt, completion, template)?
            }
            (Self::Chat { .. }, None) => {
                let problem = "the record is a conversation, and the model has no chat template: \
                               take an instruct model, or records of prompt and completion";
                return Err(Error::Request(problem.into()));
            }
        };
        segments.retain(|segment| !segment.text.is_empty());
        Ok(segments)
    }

    /// What is given before the last learned piece, and that piece: a prompt and its answer.
    ///
    /// # Errors
    /// As [`Record::segments`].
    pub fn prompt_and_answer(&self, template: Option<&dyn Template>) -> Result<(String, String)> {
        let mut segments = self.segments(template)?;
        let last = segments.iter().rposition(|segment| segment.learn);
        let Some(last) = last else { return Ok((joined(&segments), String::new())) };
        segments.truncate(last + 1);
        let answer = segments.pop().map_or_else(String::new, |segment| segment.text);
        Ok((joined(&segments), answer))
    }
}

fn joined(segments: &[Segment]) -> String {
    segments.iter().map(|segment| segment.text.as_str()).collect()
}

fn given(text: &str) -> Segment {
    Segment { text: text.into(), learn: false }
}

fn learned(text: &str) -> Segment {
    Segment { text: text.into(), learn: true }
}

fn alpaca(instruction: &str, input: &str) -> String {
    let (paired, input) = match input.is_empty() {
        true => ("", String::new()),
        false => (
            ", paired with an input that provides further context",
            format!("### Input:\n{input}\n\n"),
        ),
    };
    format!(
        "Below is an instruction that describes a task{paired}. Write a response that \
         appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n{input}### Response:\n"
    )
}

/// Every answer of the completion is learned, if the template writes the beginning of a
/// conversation the same whatever follows. Some leave the reasoning of earlier answers out: then
/// the last answer alone is.
fn conversation(
    prompt: &[Message],
    completion: &[Message],
    template: &dyn Template,
) -> Result<Vec<Segment>> {
    let last = completion.iter().rposition(|message| message.role == ASSISTANT);
    let last = last.ok_or_else(|| Error::Request("the conversation has no answer".into()))?;
    let messages: Vec<Message> = prompt.iter().chain(&completion[..=last]).cloned().collect();
    let answers = (prompt.len()..messages.len()).filter(|&at| messages[at].role == ASSISTANT);
    let full = template.render(&messages, false)?;
    match cut(&full, &messages, answers, template)? {
        Some(segments) => Ok(segments),
        None => {
            cut(&full, &messages, std::iter::once(messages.len() - 1), template)?.ok_or_else(|| {
                let problem = "the chat template writes a question differently before its answer \
                               is there: answers cannot be told from questions";
                Error::Request(problem.into())
            })
        }
    }
}

/// The full text cut at both ends of each answer, `None` if it does not begin as it should.
fn cut(
    full: &str,
    messages: &[Message],
    answers: impl Iterator<Item = usize>,
    template: &dyn Template,
) -> Result<Option<Vec<Segment>>> {
    let (mut segments, mut at) = (Vec::new(), 0);
    for answer in answers {
        let before = template.render(&messages[..answer], true)?;
        let behind = match answer + 1 == messages.len() {
            true => full.to_owned(),
            false => template.render(&messages[..=answer], false)?,
        };
        let fits = full.starts_with(&behind) && behind.starts_with(&before) && before.len() >= at;
        if !fits {
            return Ok(None);
        }
        segments.push(given(&full[at..before.len()]));
        segments.push(learned(&full[before.len()..behind.len()]));
        at = behind.len();
    }
    Ok(Some(segments))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::parse;

    /// Writes messages as ChatML; leaves `<think>` parts of all but the last message out if asked.
    struct ChatMl {
        forgets: bool,
    }

    impl Template for ChatMl {
        fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
            let mut text = String::new();
            for (index, message) in messages.iter().enumerate() {
                let thought = message.content.find("</think>").filter(|_| self.forgets);
                let content = match thought.filter(|_| index + 1 < messages.len()) {
                    Some(at) => &message.content[at + 8..],
                    None => &message.content,
                };
                text += &format!("<|{}|>{content}<|end|>", message.role);
            }
            Ok(text + if add_generation_prompt { "<|assistant|>" } else { "" })
        }
    }

    fn shown(line: &str, template: Option<&dyn Template>) -> Vec<(String, bool)> {
        let segments = parse(line).unwrap().record.segments(template).unwrap();
        segments.into_iter().map(|segment| (segment.text, segment.learn)).collect()
    }

    const TURNS: &str = r#"{"messages": [{"role": "user", "content": "u"},
        {"role": "assistant", "content": "<think>t</think>a"}, {"role": "user", "content": "v"},
        {"role": "assistant", "content": "b"}]}"#;

    #[test]
    fn every_answer_of_a_conversation_is_learned() {
        let found = shown(TURNS, Some(&ChatMl { forgets: false }));
        let learned: Vec<&str> =
            found.iter().filter(|(_, learn)| *learn).map(|(text, _)| text.as_str()).collect();
        assert_eq!(learned, ["<think>t</think>a<|end|>", "b<|end|>"]);
        assert_eq!(found[2].0, "<|user|>v<|end|><|assistant|>");
        let whole: String = found.iter().map(|(text, _)| text.as_str()).collect();
        assert!(whole.starts_with("<|user|>u<|end|><|assistant|><think>"), "{whole}");
    }

    #[test]
    fn the_last_answer_is_learned_where_a_template_forgets() {
        let found = shown(TURNS, Some(&ChatMl { forgets: true }));
        assert_eq!(found.len(), 2);
        assert_eq!(found[1], ("b<|end|>".into(), true));
        assert!(found[0].0.contains("<|assistant|>a<|end|>"), "{}", found[0].0);
    }

    /// Templates of thirteen families, as their models have them.
    #[test]
    fn answers_are_found_in_what_real_templates_write() {
        let folder =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../edgeformer-models/tests/data/templates");
        let mut count = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let source = std::fs::read_to_string(&path).unwrap();
            let template = ChatTemplate::new(&source, "<s>", "</s>").unwrap();
            let record = parse(&TURNS.replace("<think>t</think>a", "first one")).unwrap().record;
            let segments = record.segments(Some(&template)).unwrap();
            let learned: Vec<&Segment> = segments.iter().filter(|segment| segment.learn).collect();
            let last = learned.last().unwrap();
            assert!(last.text.contains('b'), "{}: {segments:?}", path.display());
            assert!(!last.text.contains('v'), "{}: {segments:?}", path.display());
            let Record::Chat { prompt, completion } = &record else { panic!("no conversation") };
            let all = [&prompt[..], completion].concat();
            let full = Template::render(&template, &all, false).unwrap();
            assert_eq!(joined(&segments), full, "{}", path.display());
            count += 1;
        }
        assert!(count > 10);
    }

    #[test]
    fn conversations_need_a_template() {
        let told = parse(TURNS).unwrap().record.segments(None).unwrap_err().to_string();
        assert!(told.contains("no chat template"), "{told}");
    }

    #[test]
    fn instructions_get_alpacas_text() {
        let found = shown(r#"{"instruction": "i", "input": "n", "output": "o"}"#, None);
        assert!(found[0].0.contains("task, paired with an input that provides further context."));
        assert!(found[0].0.ends_with("### Instruction:\ni\n\n### Input:\nn\n\n### Response:\n"));
        let found = shown(r#"{"instruction": "i", "output": "o"}"#, None);
        assert!(found[0].0.contains("describes a task. Write"), "{}", found[0].0);
        assert!(found[0].0.ends_with("### Instruction:\ni\n\n### Response:\n"));
    }

    #[test]
    fn questions_are_asked_plainly_or_by_template() {
        let line = r#"{"question": "q", "answer": "a"}"#;
        let plain = vec![("Question: q\nAnswer:".to_owned(), false), (" a".to_owned(), true)];
        assert_eq!(shown(line, None), plain);
        let found = shown(line, Some(&ChatMl { forgets: false }));
        assert_eq!(found[1], ("a<|end|>".into(), true));
        let record = parse(line).unwrap().record;
        let expected = ("Question: q\nAnswer:".to_owned(), " a".to_owned());
        assert_eq!(record.prompt_and_answer(None).unwrap(), expected);
    }
}

//! What a line of a file of records says.

mod parse;
#[cfg(test)]
mod tests;

use edgeformer_models::text::Message;

pub use parse::{Parsed, parse};

/// Something to learn, in one of the forms that data sets have.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// Plain text, all of it learned; with a label, text to be classified or valued.
    Text {
        /// The text.
        text: String,
        /// What the text is.
        label: Option<Label>,
    },
    /// A text and how it goes on, both as they are.
    Completion {
        /// What is given.
        prompt: String,
        /// What is learned.
        completion: String,
    },
    /// A conversation.
    Chat {
        /// What is given: ends before the first answer that is learned.
        prompt: Vec<Message>,
        /// What follows: begins with an answer; the assistant's messages in it are learned.
        completion: Vec<Message>,
    },
    /// An instruction, as Stanford's Alpaca has it.
    Instruction {
        /// What is to be done.
        instruction: String,
        /// With what; empty where there is nothing.
        input: String,
        /// What is learned.
        output: String,
    },
    /// A question and its answer, as GSM8K has it.
    Question {
        /// What is asked.
        question: String,
        /// What is learned.
        answer: String,
    },
}

/// What a text is.
#[derive(Debug, Clone, PartialEq)]
pub enum Label {
    /// A class by its name.
    Class(String),
    /// A class by its index.
    Index(i64),
    /// A value, for regression.
    Value(f64),
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Class(name) => f.write_str(name),
            Self::Index(index) => index.fmt(f),
            Self::Value(value) => value.fmt(f),
        }
    }
}

impl Record {
    /// What is asked or given, without any template; `None` where a record is plain text.
    pub fn question(&self) -> Option<String> {
        match self {
            Self::Text { .. } => None,
            Self::Completion { prompt, .. } => Some(prompt.clone()),
            Self::Chat { prompt, .. } => Some(contents(prompt, |_| true)),
            Self::Instruction { instruction, input, .. } if input.is_empty() => {
                Some(instruction.clone())
            }
            Self::Instruction { instruction, input, .. } => Some(format!("{instruction}\n{input}")),
            Self::Question { question, .. } => Some(question.clone()),
        }
    }

    /// What is learned, without any template.
    pub fn answer(&self) -> String {
        match self {
            Self::Text { text, .. } => text.clone(),
            Self::Completion { completion, .. } => completion.clone(),
            Self::Chat { completion, .. } => {
                contents(completion, |message| message.role == ASSISTANT)
            }
            Self::Instruction { output, .. } => output.clone(),
            Self::Question { answer, .. } => answer.clone(),
        }
    }

    /// All of it: what is asked, a line end, what follows.
    pub fn whole(&self) -> String {
        let rest = match self {
            Self::Chat { completion, .. } => contents(completion, |_| true),
            _ => self.answer(),
        };
        match self.question() {
            Some(question) => format!("{question}\n{rest}"),
            None => rest,
        }
    }

    /// The label of a text.
    pub fn label(&self) -> Option<&Label> {
        match self {
            Self::Text { label, .. } => label.as_ref(),
            _ => None,
        }
    }
}

/// The role whose messages are learned.
pub(super) const ASSISTANT: &str = "assistant";

fn contents(messages: &[Message], wanted: impl Fn(&Message) -> bool) -> String {
    let contents = messages.iter().filter(|message| wanted(message));
    contents.map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n")
}
